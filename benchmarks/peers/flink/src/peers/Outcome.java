package peers;

import java.util.LinkedHashMap;
import java.util.Map;

/** What came of a run, as the program that compares engines reads it: one line of JSON. */
final class Outcome {
  private final long events;
  private final Map<String, Double> figures = new LinkedHashMap<>();
  private long results;
  private String checksum = "null";
  private double wallSeconds;
  private double cpuSeconds;

  Outcome(long events) {
    this.events = events;
    this.results = events;
  }

  Outcome results(long count, long sumOfChecksums) {
    results = count;
    checksum = Long.toUnsignedString(sumOfChecksums);
    return this;
  }

  Outcome took(double wall, double cpu) {
    wallSeconds = wall;
    cpuSeconds = cpu;
    return this;
  }

  Outcome figure(String name, double value) {
    figures.put(name, value);
    return this;
  }

  void print() {
    StringBuilder named = new StringBuilder();
    figures.forEach(
        (name, value) -> named.append(named.isEmpty() ? "" : ",").append(String.format("\"%s\":%.6f", name, value)));
    System.out.printf(
        "{\"events\":%d,\"results\":%d,\"checksum\":%s,\"wall_seconds\":%.6f,\"cpu_seconds\":%.6f,\"figures\":{%s}}%n",
        events, results, checksum, wallSeconds, cpuSeconds, named);
  }
}
