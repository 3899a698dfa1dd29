//! How glibc's allocator is asked to suit a dataflow.

/// Set to `system` in the environment, the allocator is left as it is.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const CHOICE: &str = "TIDEGATE_ALLOCATOR";

/// Lets glibc keep as many freed blocks of a size at hand, per thread, as a batch has records.
///
/// A dataflow frees what it has allocated a batch at a time: a thousand strings come, then a thousand go. glibc keeps
/// seven blocks of each size per thread within easy reach and everything beyond goes a long way. How many can be
/// said only in the environment, before a process starts, so this **starts the program again in its place**, with the same
/// process id, arguments and files, and one more word in `GLIBC_TUNABLES`. It costs at most 34 MB per thread, and as
/// much as was freed at once in practice.
///
/// Does nothing where that has been said already, if the environment has `TIDEGATE_ALLOCATOR=system`, on another operating system or C library;
/// and it does no harm under another allocator. Call it before anything else: what came before happens twice.
/// [`tidegate::main`](crate::main) does so when a job is run.
pub fn tune_allocator() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        use std::os::unix::process::CommandExt as _;

        let tunables = std::env::var("GLIBC_TUNABLES").ok();
        let is_left_alone = std::env::var_os(CHOICE).is_some_and(|choice| choice == "system");
        let Some(tuned) = with_cache(tunables.as_deref()).filter(|_| !is_left_alone) else {
            return;
        };
        let mut arguments = std::env::args_os();
        let Some(name) = arguments.next() else {
            return;
        };
        let Ok(program) = std::env::current_exe() else {
            return;
        };
        let failure = std::process::Command::new(program)
            .arg0(name)
            .args(arguments)
            .env("GLIBC_TUNABLES", tuned)
            .exec();
        // It comes back only if it has not worked. Then the program runs as it is, only slower.
        tracing::debug!(%failure, "the allocator stays as it is");
    }
}

/// The tunables with one for the cache, or `None` if there is one already.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn with_cache(tunables: Option<&str>) -> Option<String> {
    const CACHE: &str = "glibc.malloc.tcache_count";
    let cache = format!("{CACHE}={}", tidegate_core::TARGET_RECORDS);
    match tunables.unwrap_or_default() {
        "" => Some(cache),
        said if said.contains(CACHE) => None,
        said => Some(format!("{said}:{cache}")),
    }
}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_before_stays() {
        let with = |said| with_cache(Some(said));
        assert_eq!(
            with_cache(None).as_deref(),
            Some("glibc.malloc.tcache_count=1024")
        );
        assert_eq!(with("").as_deref(), Some("glibc.malloc.tcache_count=1024"));
        assert_eq!(
            with("glibc.malloc.hugetlb=1").as_deref(),
            Some("glibc.malloc.hugetlb=1:glibc.malloc.tcache_count=1024")
        );
        assert_eq!(with("glibc.malloc.tcache_count=7"), None);
    }
}
