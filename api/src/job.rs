//! A job that has been built.

use std::sync::Arc;

use tidegate_core::graph::JobGraph;
use tidegate_worker::JobProgram;

use crate::{Env, Result, plan::Plan};

/// A job that has been built: a graph and the code behind it. Running it leaves it as it was, so it can be run again.
///
/// ```
/// use tidegate::prelude::*;
///
/// let job = Job::build("hello", |env| {
///     env.source("numbers", IteratorSource::new(|| 0..3u32)).print("out");
///     Ok(())
/// })?;
/// job.run(RunOptions::in_memory())?;
/// # Ok::<(), tidegate::Error>(())
/// ```
#[derive(Clone)]
pub struct Job {
    program: Arc<JobProgram>,
}

impl Job {
    pub(crate) fn new(program: JobProgram) -> Self {
        Self {
            program: Arc::new(program),
        }
    }

    /// Builds a job with a closure.
    ///
    /// # Errors
    /// What the closure returns, and what [`Env::build`] says.
    pub fn build(name: &str, build: impl FnOnce(&Env) -> Result<()>) -> Result<Self> {
        let env = Env::new(name);
        build(&env)?;
        Ok(env.build()?)
    }

    /// The job's name.
    pub fn name(&self) -> &str {
        &self.graph().name
    }

    /// The job's graph.
    pub fn graph(&self) -> &JobGraph {
        self.program.graph()
    }

    /// How the job would run with so many slots.
    pub fn plan(&self, parallelism: u32) -> Plan {
        Plan::of(self.graph(), parallelism)
    }

    pub(crate) fn program(&self) -> Arc<JobProgram> {
        Arc::clone(&self.program)
    }
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job")
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}
