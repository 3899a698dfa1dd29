package peers;

import java.io.Serializable;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.locks.LockSupport;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.connector.source.Boundedness;
import org.apache.flink.api.connector.source.ReaderOutput;
import org.apache.flink.api.connector.source.Source;
import org.apache.flink.api.connector.source.SourceReader;
import org.apache.flink.api.connector.source.SourceReaderContext;
import org.apache.flink.api.connector.source.SourceSplit;
import org.apache.flink.api.connector.source.SplitEnumerator;
import org.apache.flink.api.connector.source.SplitEnumeratorContext;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.api.java.typeutils.ResultTypeQueryable;
import org.apache.flink.core.io.InputStatus;
import org.apache.flink.core.io.SimpleVersionedSerializer;

/**
 * Numbers on a schedule: number <i>n</i> of all is due <i>n / rate</i> after the start, whether or not those before it have come
 * through. Each record is a number and the {@link System#nanoTime} at which it was due. With <i>k</i> tasks, each emits every <i>k</i>th
 * number. After a restore the schedule goes on from the number reached, from then on.
 */
final class ScheduledSource
    implements Source<Tuple2<Long, Long>, ScheduledSource.Share, Integer>, ResultTypeQueryable<Tuple2<Long, Long>> {
  /** A look at the clock is no cheaper than some records. */
  private static final int PER_POLL = 64;

  /** How long a task without due records rests. */
  private static final long REST_NANOS = 100_000;

  private final long records;
  private final long perSecond;

  ScheduledSource(long records, long perSecond) {
    this.records = records;
    this.perSecond = perSecond;
  }

  /** Every {@code stride}th number from {@code next} on. */
  static final class Share implements SourceSplit, Serializable {
    final int index;
    final int stride;
    final long next;

    Share(int index, int stride, long next) {
      this.index = index;
      this.stride = stride;
      this.next = next;
    }

    @Override
    public String splitId() {
      return Integer.toString(index);
    }
  }

  @Override
  public Boundedness getBoundedness() {
    return Boundedness.CONTINUOUS_UNBOUNDED;
  }

  @Override
  public TypeInformation<Tuple2<Long, Long>> getProducedType() {
    return Types.TUPLE(Types.LONG, Types.LONG);
  }

  /** Gives each task its share once, and gives back what a failed task had. */
  private static final class Shares implements SplitEnumerator<Share, Integer> {
    private final SplitEnumeratorContext<Share> context;
    private final List<Share> waiting = new ArrayList<>();

    Shares(SplitEnumeratorContext<Share> context, boolean isFresh) {
      this.context = context;
      int tasks = context.currentParallelism();
      for (int index = 0; isFresh && index < tasks; index++) {
        waiting.add(new Share(index, tasks, index));
      }
    }

    @Override
    public void start() {}

    @Override
    public void handleSplitRequest(int task, String host) {
      waiting.removeIf(
          share -> {
            if (share.index == task) {
              context.assignSplit(share, task);
            }
            return share.index == task;
          });
    }

    @Override
    public void addSplitsBack(List<Share> shares, int task) {
      waiting.addAll(shares);
      if (context.registeredReaders().containsKey(task)) {
        handleSplitRequest(task, null);
      }
    }

    @Override
    public void addReader(int task) {}

    @Override
    public Integer snapshotState(long checkpoint) {
      return 0;
    }

    @Override
    public void close() {}
  }

  @Override
  public SplitEnumerator<Share, Integer> createEnumerator(SplitEnumeratorContext<Share> context) {
    return new Shares(context, true);
  }

  @Override
  public SplitEnumerator<Share, Integer> restoreEnumerator(
      SplitEnumeratorContext<Share> context, Integer nothing) {
    return new Shares(context, false);
  }

  @Override
  public SourceReader<Tuple2<Long, Long>, Share> createReader(SourceReaderContext context) {
    return new Reader(context);
  }

  private final class Reader implements SourceReader<Tuple2<Long, Long>, Share> {
    private final SourceReaderContext context;
    private final CompletableFuture<Void> assigned = new CompletableFuture<>();
    private final Tuple2<Long, Long> record = new Tuple2<>();
    private Share share;
    private long next;
    private long startNanos;
    private long startNumber;

    Reader(SourceReaderContext context) {
      this.context = context;
    }

    @Override
    public void start() {
      if (share == null) {
        context.sendSplitRequest();
      }
    }

    @Override
    public void addSplits(List<Share> shares) {
      share = shares.get(0);
      next = share.next;
      startNumber = next;
      startNanos = System.nanoTime();
      assigned.complete(null);
    }

    @Override
    public InputStatus pollNext(ReaderOutput<Tuple2<Long, Long>> out) {
      if (share == null) {
        return InputStatus.NOTHING_AVAILABLE;
      }
      for (int polled = 0; polled < PER_POLL; polled++) {
        if (next >= records) {
          return InputStatus.END_OF_INPUT;
        }
        long due = startNanos + (next - startNumber) * (1_000_000_000L / perSecond);
        long early = due - System.nanoTime();
        if (early > 0) {
          if (polled == 0) {
            LockSupport.parkNanos(Math.min(early, REST_NANOS));
          }
          return InputStatus.MORE_AVAILABLE;
        }
        record.f0 = next;
        record.f1 = due;
        next += share.stride;
        out.collect(record);
      }
      return InputStatus.MORE_AVAILABLE;
    }

    @Override
    public List<Share> snapshotState(long checkpoint) {
      return share == null ? List.of() : List.of(new Share(share.index, share.stride, next));
    }

    @Override
    public CompletableFuture<Void> isAvailable() {
      return assigned;
    }

    @Override
    public void notifyNoMoreSplits() {}

    @Override
    public void close() {}
  }

  @Override
  public SimpleVersionedSerializer<Share> getSplitSerializer() {
    return new Fixed<>() {
      @Override
      public byte[] serialize(Share share) {
        return ByteBuffer.allocate(16).putInt(share.index).putInt(share.stride).putLong(share.next).array();
      }

      @Override
      public Share deserialize(int version, byte[] bytes) {
        ByteBuffer from = ByteBuffer.wrap(bytes);
        return new Share(from.getInt(), from.getInt(), from.getLong());
      }
    };
  }

  @Override
  public SimpleVersionedSerializer<Integer> getEnumeratorCheckpointSerializer() {
    return new Fixed<>() {
      @Override
      public byte[] serialize(Integer nothing) {
        return new byte[0];
      }

      @Override
      public Integer deserialize(int version, byte[] bytes) {
        return 0;
      }
    };
  }

  /** There is one version. */
  private abstract static class Fixed<T> implements SimpleVersionedSerializer<T> {
    @Override
    public final int getVersion() {
      return 1;
    }
  }
}
