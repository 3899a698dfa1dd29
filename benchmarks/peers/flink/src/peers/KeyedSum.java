package peers;

import java.util.concurrent.atomic.AtomicLong;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.streaming.api.functions.sink.legacy.RichSinkFunction;
import org.apache.flink.util.Collector;

/**
 * The keyed running sum of E2. Runs once to warm up, then once more, and says what came of that. The records are the same as ours, made from
 * their numbers.
 */
final class KeyedSum {
  private static final long KEYS = 1_000_000;
  private static final long PAIRS = 1L << 24;
  private static final long STEP = 0x9e3779b97f4a7c15L;

  private static final AtomicLong CHECKSUM = new AtomicLong();
  private static final AtomicLong RESULTS = new AtomicLong();

  private KeyedSum() {}

  private static long mix(long bits) {
    bits = (bits ^ (bits >>> 30)) * 0xbf58476d1ce4e5b9L;
    bits = (bits ^ (bits >>> 27)) * 0x94d049bb133111ebL;
    return bits ^ (bits >>> 31);
  }

  /** The first number of the sequence that belongs to a place. */
  private static long draw(long place) {
    return mix(mix(place * STEP) + STEP);
  }

  private static Tuple2<Long, Long> pair(long number) {
    long place = (number & (PAIRS - 1)) | Long.MIN_VALUE;
    long key = draw(((draw(place) & 0xffffffffL) * KEYS) >>> 32);
    return Tuple2.of(key, Long.remainderUnsigned(key, 1_000));
  }

  /** The sum of the values of each key so far. */
  private static final class Sum
      extends KeyedProcessFunction<Long, Tuple2<Long, Long>, Tuple2<Long, Long>> {
    private transient ValueState<Long> sum;

    @Override
    public void open(OpenContext context) {
      sum = getRuntimeContext().getState(new ValueStateDescriptor<>("sum", Types.LONG));
    }

    @Override
    public void processElement(
        Tuple2<Long, Long> pair, Context context, Collector<Tuple2<Long, Long>> out)
        throws Exception {
      Long before = sum.value();
      pair.f1 += before == null ? 0 : before;
      sum.update(pair.f1);
      out.collect(pair);
    }
  }

  /** Adds up checksums, each task its own until it ends. */
  private static final class Checksums extends RichSinkFunction<Tuple2<Long, Long>> {
    private transient long checksum;
    private transient long results;

    @Override
    public void invoke(Tuple2<Long, Long> pair, Context context) {
      checksum += Long.rotateLeft(pair.f0, 32) ^ pair.f1;
      results++;
    }

    @Override
    public void close() {
      CHECKSUM.addAndGet(checksum);
      RESULTS.addAndGet(results);
    }
  }

  static Outcome measure(int parallelism, long records) throws Exception {
    Configuration options = Local.options(parallelism, 1, Local.scratch("sum"));
    Local.Job job = env -> build(env, records);
    Local.run(options, parallelism, job);
    CHECKSUM.set(0);
    RESULTS.set(0);
    Local.Ran ran = Local.run(options, parallelism, job);
    return new Outcome(records)
        .results(RESULTS.get(), CHECKSUM.get())
        .took(ran.wallSeconds(), ran.cpuSeconds());
  }

  private static void build(StreamExecutionEnvironment env, long records) {
    env.fromSequence(0, records - 1)
        .map(KeyedSum::pair)
        .returns(Types.TUPLE(Types.LONG, Types.LONG))
        .keyBy(pair -> pair.f0, Types.LONG)
        .process(new Sum())
        .returns(Types.TUPLE(Types.LONG, Types.LONG))
        .addSink(new Checksums());
  }
}
