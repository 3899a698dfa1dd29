package peers;

/** Flink's side of a comparison: {@code sum 2 10000000} runs a query at a parallelism over so many records and says what came of it. */
public final class Main {
  private Main() {}

  public static void main(String[] arguments) throws Exception {
    if (arguments.length != 3) {
      System.err.println("a query, a parallelism and a number of records are needed: sum 2 10000000");
      System.exit(1);
    }
    int parallelism = Integer.parseInt(arguments[1]);
    long records = Long.parseLong(arguments[2]);
    switch (arguments[0]) {
      case "sum" -> KeyedSum.measure(parallelism, records).print();
      case "latency" -> Latency.measure(Latency.Kind.SMALL, parallelism, records).print();
      case "state" -> Latency.measure(Latency.Kind.LARGE, parallelism, records).print();
      case "recovery" -> Recovery.measure(parallelism, records).print();
      default -> {
        System.err.println("there is no query " + arguments[0] + "; there are sum, latency, state, recovery");
        System.exit(1);
      }
    }
    System.exit(0);
  }
}
