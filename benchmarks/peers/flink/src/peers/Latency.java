package peers;

import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.runtime.checkpoint.CompletedCheckpointStats;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.streaming.api.functions.sink.legacy.SinkFunction;
import org.apache.flink.util.Collector;

/** How late records are that come on a schedule, from when they were due to the sink; with little state and with much. */
final class Latency {
  private static final long PER_SECOND = 100_000;

  private Latency() {}

  /** Which state is kept, and which records belong to the same key. The same on our side. */
  enum Kind {
    /** A number for each of 100 k keys. */
    SMALL(100_000, 8, 1, 10),
    /** A kilobyte for each of a million keys. Once all are there, records go to a twentieth of them. */
    LARGE(1_000_000, 1_000, 10, 15);

    final long keys;
    final int bytes;
    final int checkpointSeconds;
    /** How many seconds are passed over: the compiler is at work, state is loaded. */
    final long passedOver;

    Kind(long keys, int bytes, int checkpointSeconds, long passedOver) {
      this.keys = keys;
      this.bytes = bytes;
      this.checkpointSeconds = checkpointSeconds;
      this.passedOver = passedOver;
    }

    long key(long number) {
      return this == SMALL
          ? Long.remainderUnsigned(number * 0x9e3779b9L, keys)
          : number < keys ? number : number % (keys / 20);
    }
  }

  /** Keeps the last number of each key, in so many bytes. */
  static final class Last extends KeyedProcessFunction<Long, Tuple2<Long, Long>, Tuple2<Long, Long>> {
    private final int bytes;
    private transient ValueState<byte[]> last;

    Last(int bytes) {
      this.bytes = bytes;
    }

    @Override
    public void open(OpenContext context) {
      last =
          getRuntimeContext()
              .getState(new ValueStateDescriptor<>("last", PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO));
    }

    @Override
    public void processElement(
        Tuple2<Long, Long> record, Context context, Collector<Tuple2<Long, Long>> out) throws Exception {
      byte[] before = last.value();
      // A value that a checkpoint may be writing must not be changed in its place.
      byte[] now = before == null ? new byte[bytes] : before.clone();
      for (int at = 0; at < Long.BYTES; at++) {
        now[at] = (byte) (record.f0 >>> (8 * at));
      }
      last.update(now);
      out.collect(record);
    }
  }

  private static final class Note implements SinkFunction<Tuple2<Long, Long>> {
    private final long after;

    Note(long after) {
      this.after = after;
    }

    @Override
    public void invoke(Tuple2<Long, Long> record, Context context) {
      if (record.f0 >= after) {
        Delays.note(System.nanoTime() - record.f1);
      }
    }
  }

  static Outcome measure(Kind kind, int parallelism, long records) throws Exception {
    Configuration options =
        Local.options(parallelism, kind.checkpointSeconds, Local.scratch("latency"));
    options.setString("execution.buffer-timeout.interval", "1 ms");
    Delays.clear();
    Local.Ran ran =
        Local.run(
            options,
            parallelism,
            env ->
                env.fromSource(
                        new ScheduledSource(records, PER_SECOND), WatermarkStrategy.noWatermarks(), "schedule")
                    .keyBy(record -> kind.key(record.f0), Types.LONG)
                    .process(new Last(kind.bytes))
                    .returns(Types.TUPLE(Types.LONG, Types.LONG))
                    .addSink(new Note(kind.passedOver * PER_SECOND)));
    Outcome outcome =
        new Outcome(records)
            .took(ran.wallSeconds(), ran.cpuSeconds())
            .figure("p50_ms", Delays.millisAt(0.5))
            .figure("p99_ms", Delays.millisAt(0.99))
            .figure("p99.9_ms", Delays.millisAt(0.999))
            .figure("longest_ms", Delays.millisAt(1.0));
    if (kind == Kind.LARGE) {
      // Those before are of a state that still grows.
      CompletedCheckpointStats last = null;
      for (CompletedCheckpointStats one : ran.checkpoints()) {
        last = last == null || one.getCheckpointId() > last.getCheckpointId() ? one : last;
      }
      if (last != null) {
        outcome
            .figure("checkpoint_s", last.getEndToEndDuration() / 1e3)
            .figure("written_mb", last.getCheckpointedSize() / 1e6);
      }
    }
    return outcome;
  }
}
