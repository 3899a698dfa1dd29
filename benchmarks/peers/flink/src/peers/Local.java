package peers;

import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.apache.flink.api.common.JobID;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.runtime.checkpoint.AbstractCheckpointStats;
import org.apache.flink.runtime.checkpoint.CompletedCheckpointStats;
import org.apache.flink.runtime.executiongraph.ArchivedExecutionGraph;
import org.apache.flink.runtime.minicluster.MiniCluster;
import org.apache.flink.runtime.minicluster.MiniClusterConfiguration;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/** A cluster in this process: one task manager with as many slots as there are parallel tasks. */
final class Local {
  private static final OperatingSystemMXBean MACHINE =
      (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();

  private Local() {}

  /** What both kinds of cluster are told: exactly-once checkpoints to a local directory, state on the heap, no copies between operators. */
  static Configuration options(int parallelism, int checkpointSeconds, Path checkpoints) {
    Configuration options = new Configuration();
    options.setString("parallelism.default", Integer.toString(parallelism));
    options.setString("execution.checkpointing.interval", checkpointSeconds + " s");
    options.setString("execution.checkpointing.mode", "EXACTLY_ONCE");
    options.setString("execution.checkpointing.dir", checkpoints.toUri().toString());
    options.setString("execution.checkpointing.checkpoints-after-tasks-finish.enabled", "false");
    options.setString("state.backend.type", "hashmap");
    options.setString("pipeline.object-reuse", "true");
    options.setString("rest.address", "localhost");
    options.setString("rest.bind-address", "localhost");
    return options;
  }

  /** A job, made in the environment that it is given. */
  interface Job {
    void build(StreamExecutionEnvironment env);
  }

  /** What a run took, by the wall and by the whole process, and the checkpoints that were completed. */
  record Ran(double wallSeconds, double cpuSeconds, List<CompletedCheckpointStats> checkpoints) {}

  static Ran run(Configuration given, int parallelism, Job job) throws Exception {
    Configuration options = new Configuration(given);
    options.setString("rest.port", "0");
    StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment(options);
    job.build(env);
    MiniClusterConfiguration cluster =
        new MiniClusterConfiguration.Builder()
            .setConfiguration(options)
            .setNumTaskManagers(1)
            .setNumSlotsPerTaskManager(parallelism)
            .build();
    try (MiniCluster mini = new MiniCluster(cluster)) {
      mini.start();
      long cpu = MACHINE.getProcessCpuTime();
      long wall = System.nanoTime();
      JobID id = mini.submitJob(env.getStreamGraph()).get().getJobID();
      mini.requestJobResult(id).get().toJobExecutionResult(Local.class.getClassLoader());
      double wallSeconds = (System.nanoTime() - wall) / 1e9;
      double cpuSeconds = (MACHINE.getProcessCpuTime() - cpu) / 1e9;
      ArchivedExecutionGraph graph = mini.getArchivedExecutionGraph(id).get();
      List<CompletedCheckpointStats> completed = new ArrayList<>();
      for (AbstractCheckpointStats stats : graph.getCheckpointStatsSnapshot().getHistory().getCheckpoints()) {
        if (stats instanceof CompletedCheckpointStats done) {
          completed.add(done);
        }
      }
      return new Ran(wallSeconds, cpuSeconds, completed);
    }
  }

  static Path scratch(String name) throws Exception {
    return Files.createTempDirectory("flink-" + name);
  }
}
