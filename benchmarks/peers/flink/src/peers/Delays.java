package peers;

import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicLongArray;

/** How late records were, in this process: buckets of an eighth of a percent to a percent and a half. */
final class Delays {
  private static final int DIGITS = 6;
  private static final AtomicLongArray BUCKETS = new AtomicLongArray(64 << DIGITS);
  private static final AtomicLong LONGEST = new AtomicLong();

  private Delays() {}

  static void clear() {
    for (int bucket = 0; bucket < BUCKETS.length(); bucket++) {
      BUCKETS.set(bucket, 0);
    }
    LONGEST.set(0);
  }

  static void note(long nanos) {
    nanos = Math.max(nanos, 1 << DIGITS);
    int octave = 63 - Long.numberOfLeadingZeros(nanos);
    int within = (int) (nanos >>> (octave - DIGITS)) & ((1 << DIGITS) - 1);
    BUCKETS.incrementAndGet(octave << DIGITS | within);
    LONGEST.accumulateAndGet(nanos, Math::max);
  }

  /** So many milliseconds late were at most this share of all records. */
  static double millisAt(double quantile) {
    long all = 0;
    for (int bucket = 0; bucket < BUCKETS.length(); bucket++) {
      all += BUCKETS.get(bucket);
    }
    long seen = 0;
    for (int bucket = 0; bucket < BUCKETS.length(); bucket++) {
      seen += BUCKETS.get(bucket);
      if (seen >= quantile * all) {
        int octave = bucket >> DIGITS;
        double start = 1 + (double) (bucket & ((1 << DIGITS) - 1)) / (1 << DIGITS);
        return Math.min(start * Math.pow(2, octave), LONGEST.get()) / 1e6;
      }
    }
    return Double.NaN;
  }
}
