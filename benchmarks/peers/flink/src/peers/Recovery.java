package peers;

import java.io.File;
import java.io.FileOutputStream;
import java.io.IOException;
import java.net.HttpURLConnection;
import java.net.ServerSocket;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.stream.Stream;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.legacy.RichSinkFunction;

/**
 * How long after {@code kill -9} of the task manager that runs all tasks the first output comes, with another one standing by. Job manager and task
 * managers are processes of their own, on ports of their own choosing; settings of the cluster are Flink's.
 */
final class Recovery {
  private static final long PER_SECOND = 100_000;
  private static final long KEYS = 1_000_000;

  /** Before the death: all keys are there, and some checkpoints are taken. */
  private static final long LIFE_MILLIS = 15_000;

  private static final long PATIENCE_MILLIS = 90_000;

  private Recovery() {}

  /** Writes the time of day into a file of its task's own, every other millisecond at most. */
  static final class Beats extends RichSinkFunction<Tuple2<Long, Long>> {
    private final String directory;
    private transient FileOutputStream file;
    private transient long last;

    Beats(String directory) {
      this.directory = directory;
    }

    @Override
    public void open(OpenContext context) throws Exception {
      int task = getRuntimeContext().getTaskInfo().getIndexOfThisSubtask();
      file = new FileOutputStream(new File(directory, "beats-" + task), true);
    }

    @Override
    public void invoke(Tuple2<Long, Long> record, Context context) throws IOException {
      long now = System.currentTimeMillis();
      if (now - last >= 2) {
        last = now;
        file.write((now + "\n").getBytes(StandardCharsets.US_ASCII));
      }
    }
  }

  static Outcome measure(int parallelism, long records) throws Exception {
    Path scratch = Local.scratch("recovery");
    List<Process> processes = new CopyOnWriteArrayList<>();
    // Also if this process is told to end.
    Runtime.getRuntime()
        .addShutdownHook(new Thread(() -> processes.forEach(Process::destroyForcibly)));
    return measure(parallelism, records, scratch, processes);
  }

  private static Outcome measure(int parallelism, long records, Path scratch, List<Process> processes)
      throws Exception {
    int rpc = freePort();
    int rest = freePort();
    Map<String, String> ofAll =
        Map.of(
            "jobmanager.rpc.address", "localhost",
            "jobmanager.rpc.port", Integer.toString(rpc),
            "rest.address", "localhost",
            "rest.bind-address", "localhost",
            "rest.port", Integer.toString(rest));
    Files.writeString(scratch.resolve("config.yaml"), lines(ofAll));
    processes.add(
        java("1g", "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint", scratch, "job-manager"));
    Process victim = taskManager(scratch, "task-manager-1", parallelism);
    processes.add(victim);
    await(rest, "\"taskmanagers\":1");

    Configuration options = Local.options(parallelism, 1, scratch.resolve("checkpoints"));
    ofAll.forEach(options::setString);
    StreamExecutionEnvironment env =
        StreamExecutionEnvironment.createRemoteEnvironment("localhost", rest, options);
    env.fromSource(new ScheduledSource(records, PER_SECOND), WatermarkStrategy.noWatermarks(), "schedule")
        .keyBy(record -> Long.remainderUnsigned(record.f0 * 0x9e3779b9L, KEYS), Types.LONG)
        .process(new Latency.Last(Long.BYTES))
        .returns(Types.TUPLE(Types.LONG, Types.LONG))
        .addSink(new Beats(scratch.toString()));
    env.executeAsync("recovery");

    await(rest, "\"jobs-running\":1");
    processes.add(taskManager(scratch, "task-manager-2", parallelism));
    await(rest, "\"taskmanagers\":2");
    Thread.sleep(LIFE_MILLIS);
    long killed = System.currentTimeMillis();
    victim.destroyForcibly().waitFor();
    return new Outcome(records).figure("first_output_s", (firstBeatAfter(scratch, killed) - killed) / 1e3);
  }

  private static long firstBeatAfter(Path scratch, long killed) throws Exception {
    while (System.currentTimeMillis() < killed + PATIENCE_MILLIS) {
      long first = Long.MAX_VALUE;
      try (Stream<Path> files = Files.list(scratch)) {
        for (Path file : files.filter(file -> file.getFileName().toString().startsWith("beats-")).toList()) {
          for (String beat : Files.readAllLines(file)) {
            // The dying task may have had a line in hand.
            long time = Long.parseLong(beat);
            first = time > killed + 5 ? Math.min(first, time) : first;
          }
        }
      }
      if (first < Long.MAX_VALUE) {
        return first;
      }
      Thread.sleep(50);
    }
    throw new IllegalStateException("no output within " + PATIENCE_MILLIS + " ms; logs are in " + scratch);
  }

  private static Process taskManager(Path scratch, String name, int slots) throws IOException {
    return java(
        "2g",
        "org.apache.flink.runtime.taskexecutor.TaskManagerRunner",
        scratch,
        name,
        "-Dtaskmanager.host=localhost",
        "-Dtaskmanager.resource-id=" + name,
        "-Dtaskmanager.numberOfTaskSlots=" + slots,
        "-Dtaskmanager.cpu.cores=" + slots,
        // Flink's start script works these out; without it all of them are asked for.
        "-Dtaskmanager.memory.framework.heap.size=128m",
        "-Dtaskmanager.memory.framework.off-heap.size=128m",
        "-Dtaskmanager.memory.task.heap.size=1500m",
        "-Dtaskmanager.memory.task.off-heap.size=0b",
        "-Dtaskmanager.memory.network.min=128m",
        "-Dtaskmanager.memory.network.max=128m",
        "-Dtaskmanager.memory.managed.size=64m",
        "-Dtaskmanager.memory.jvm-metaspace.size=256m",
        "-Dtaskmanager.memory.jvm-overhead.min=192m",
        "-Dtaskmanager.memory.jvm-overhead.max=192m");
  }

  /** Another of these machines: the same classes and flags. */
  private static Process java(String heap, String entry, Path scratch, String name, String... arguments)
      throws IOException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(
        java.lang.management.ManagementFactory.getRuntimeMXBean().getInputArguments().stream()
            .filter(flag -> flag.startsWith("--add"))
            .toList());
    command.add("-Xmx" + heap);
    command.addAll(List.of("-cp", System.getProperty("java.class.path"), entry));
    command.addAll(List.of("--configDir", scratch.toString()));
    command.addAll(List.of(arguments));
    File log = scratch.resolve(name + ".log").toFile();
    return new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(log).start();
  }

  private static String lines(Map<String, String> settings) {
    StringBuilder lines = new StringBuilder();
    settings.forEach((key, value) -> lines.append(key).append(": ").append(value).append('\n'));
    return lines.toString();
  }

  private static int freePort() throws IOException {
    try (ServerSocket socket = new ServerSocket(0)) {
      return socket.getLocalPort();
    }
  }

  /** Waits until the cluster's overview says so. */
  private static void await(int rest, String words) throws Exception {
    long until = System.currentTimeMillis() + PATIENCE_MILLIS;
    while (System.currentTimeMillis() < until) {
      try {
        HttpURLConnection overview =
            (HttpURLConnection) URI.create("http://localhost:" + rest + "/overview").toURL().openConnection();
        try (var answer = overview.getInputStream()) {
          if (new String(answer.readAllBytes(), StandardCharsets.UTF_8).contains(words)) {
            return;
          }
        }
      } catch (IOException notYet) {
        // It is starting.
      }
      Thread.sleep(50);
    }
    throw new IllegalStateException("the cluster did not come to say " + words);
  }
}
