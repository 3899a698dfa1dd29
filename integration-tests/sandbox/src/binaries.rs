//! The programs that clusters are made of.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// Names a folder in which all programs have been built already.
const BUILT: &str = "TIDEGATE_SANDBOX_PROGRAMS";

/// What is built if nobody has: programs by package.
const PROGRAMS: [(&str, &str); 3] = [
    ("tidegate-jobmanager", "tidegate-jobmanager"),
    ("tidegate-taskmanager", "tidegate-taskmanager"),
    ("tidegate-cluster-tests", "ledger_job"),
];

/// Where the programs are.
#[derive(Clone, Debug)]
pub struct Binaries {
    folder: PathBuf,
}

impl Binaries {
    /// Finds the programs beside the test that asks. Unless the environment's `TIDEGATE_SANDBOX_PROGRAMS` says where they
    /// are, they are brought up to date first, once in a process: cargo runs tests before it has built another package's
    /// programs.
    ///
    /// # Panics
    /// When they cannot be built.
    pub fn find() -> Self {
        static FOUND: OnceLock<Binaries> = OnceLock::new();
        FOUND
            .get_or_init(|| match env::var_os(BUILT) {
                Some(folder) => Self {
                    folder: folder.into(),
                },
                None => Self::build(),
            })
            .clone()
    }

    fn build() -> Self {
        let test = env::current_exe().expect("a process knows its program");
        // A test is in `<target>/<profile>/deps`, an example or a program beside or above.
        let folder = test
            .ancestors()
            .skip(1)
            .find(|folder| !folder.ends_with("deps") && !folder.ends_with("examples"))
            .expect("a program is in a folder")
            .to_owned();
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo
            .arg("build")
            .arg("--quiet")
            .current_dir(env!("CARGO_MANIFEST_DIR"));
        for (package, program) in PROGRAMS {
            cargo.args(["--package", package, "--bin", program]);
        }
        if folder.ends_with("release") {
            cargo.arg("--release");
        }
        if let Some(target) = folder.parent() {
            cargo.arg("--target-dir").arg(target);
        }
        let built = cargo.status().expect("cargo runs");
        assert!(built.success(), "the programs cannot be built: {cargo:?}");
        Self { folder }
    }

    /// The path of a program.
    pub fn path(&self, program: &str) -> PathBuf {
        self.folder.join(program)
    }

    /// The folder that they are in.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}
