//! Memory limits that the kernel keeps: a control group for each worker.
//!
//! Control groups (version 2, see cgroups(7) and the kernel's `cgroup-v2`) can be had where the task manager's own one is
//! delegated to it, as by `Delegate=yes` in a unit of systemd or in a container of its own. The task manager moves to a
//! group below, because one with processes cannot hand controllers down, and each worker with a limit gets one beside it.
//! Elsewhere limits are watched over, see [`memory`](crate::memory), which is done here as well.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use tidegate_core::{TaskManagerId, WorkerName};
use tidegate_proto::taskmanager::WorkerEnd;

/// The control group under which those of workers are made.
#[derive(Debug)]
pub(crate) struct ControlGroups {
    folder: PathBuf,
}

/// A worker's control group. It goes when this is dropped, by when the worker must be gone.
#[derive(Debug)]
pub(crate) struct WorkerGroup {
    folder: PathBuf,
    limit_bytes: u64,
}

impl ControlGroups {
    /// Makes this process's own control group one of groups. Nothing is changed if that cannot be.
    pub(crate) fn take_own(id: &TaskManagerId) -> io::Result<Self> {
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        let groups = fs::read_to_string("/proc/self/cgroup")?;
        let folder = own_folder(&mounts, &groups)
            .ok_or_else(|| io::Error::other("there are no control groups of version 2"))?;
        Self::take(folder, id, std::process::id())
    }

    fn take(folder: PathBuf, id: &TaskManagerId, process_id: u32) -> io::Result<Self> {
        let controllers = fs::read_to_string(folder.join("cgroup.controllers"))?;
        if !controllers.split_whitespace().any(|name| name == "memory") {
            return Err(io::Error::other("the control group has no controller of memory"));
        }
        let own = folder.join(format!("task-manager-{id}"));
        make(&own)?;
        move_to(&own, process_id)?;
        let handed_down = fs::write(folder.join("cgroup.subtree_control"), "+memory");
        if let Err(error) = handed_down {
            // Others are in there: it is not for us alone.
            move_to(&folder, process_id)?;
            let _ = fs::remove_dir(&own);
            return Err(error);
        }
        Ok(Self { folder })
    }

    /// A group for a worker that is about to be.
    pub(crate) fn group(&self, worker: &WorkerName, limit_bytes: u64) -> io::Result<WorkerGroup> {
        let group = WorkerGroup {
            folder: self.folder.join(format!("worker-{worker}")),
            limit_bytes,
        };
        make(&group.folder)?;
        fs::write(group.folder.join("memory.max"), limit_bytes.to_string())?;
        for (file, value) in [("memory.oom.group", "1"), ("memory.swap.max", "0")] {
            // Not every kernel has them.
            if let Err(error) = fs::write(group.folder.join(file), value) {
                tracing::debug!(%error, file, "a control group's file cannot be written");
            }
        }
        Ok(group)
    }
}

impl WorkerGroup {
    /// Puts the worker's process into it, and what that starts from then on.
    pub(crate) fn take_in(&self, process_id: u32) -> io::Result<()> {
        move_to(&self.folder, process_id)
    }

    /// How the worker really ended: one that the kernel has killed for its memory has a better cause than a signal.
    pub(crate) fn explain(&self, end: WorkerEnd) -> WorkerEnd {
        let events = fs::read_to_string(self.folder.join("memory.events")).unwrap_or_default();
        if !matches!(end, WorkerEnd::Signaled(_)) || kills(&events) == 0 {
            return end;
        }
        let peak = fs::read_to_string(self.folder.join("memory.peak")).unwrap_or_default();
        WorkerEnd::MemoryLimit {
            limit_bytes: self.limit_bytes,
            // It was refused more than it may have.
            used_bytes: peak.trim().parse().unwrap_or(self.limit_bytes),
        }
    }
}

impl Drop for WorkerGroup {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir(&self.folder) {
            tracing::debug!(%error, group = %self.folder.display(), "a control group could not be removed");
        }
    }
}

fn make(folder: &Path) -> io::Result<()> {
    match fs::create_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

fn move_to(group: &Path, process_id: u32) -> io::Result<()> {
    fs::write(group.join("cgroup.procs"), process_id.to_string())
}

/// How many processes of a group the kernel has killed for their memory.
fn kills(events: &str) -> u64 {
    let kills = events.lines().find_map(|line| line.strip_prefix("oom_kill "));
    kills.and_then(|kills| kills.trim().parse().ok()).unwrap_or(0)
}

/// The folder of a process's control group, from proc(5)'s `mountinfo` and `cgroup`.
fn own_folder(mounts: &str, groups: &str) -> Option<PathBuf> {
    let group = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let mount = mounts.lines().find_map(|line| {
        let (place, kind) = line.split_once(" - ")?;
        let mut place = place.split(' ').skip(3);
        let (root, point) = (place.next()?, place.next()?);
        // A mount of a part shows groups under other names.
        (kind.starts_with("cgroup2 ") && root == "/").then_some(point)
    })?;
    Some(Path::new(mount).join(group))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
        29 23 0:25 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755\n\
        30 29 0:26 / /sys/fs/cgroup/unified rw,nosuid shared:5 - cgroup2 cgroup2 rw\n";

    #[test]
    fn the_own_group_is_found() {
        let groups = "4:memory:/other\n0::/system.slice/tidegate.service\n";
        assert_eq!(
            own_folder(MOUNTS, groups),
            Some(PathBuf::from(
                "/sys/fs/cgroup/unified/system.slice/tidegate.service"
            ))
        );
        assert_eq!(own_folder(MOUNTS, "4:memory:/other\n"), None);
        assert_eq!(own_folder(&MOUNTS.replace("0:26 /", "0:26 /part"), groups), None);
        assert_eq!(own_folder("", groups), None);
        assert_eq!(own_folder("damaged - cgroup2", groups), None);
    }

    fn text(path: PathBuf) -> String {
        fs::read_to_string(path).unwrap()
    }

    /// Files that only look like control groups: what is written is what the kernel would be told.
    #[test]
    fn a_worker_gets_a_group_with_its_limit() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        fs::write(root.join("cgroup.controllers"), "cpu memory pids\n").unwrap();
        let id = TaskManagerId::parse("tm").unwrap();
        let groups = ControlGroups::take(root.clone(), &id, 41).unwrap();
        assert_eq!(text(root.join("task-manager-tm/cgroup.procs")), "41");
        assert_eq!(text(root.join("cgroup.subtree_control")), "+memory");
        let group = groups.group(&WorkerName::of(&id, 1), 1000).unwrap();
        group.take_in(42).unwrap();
        let worker = root.join("worker-tm-1");
        assert_eq!(text(worker.join("memory.max")), "1000");
        assert_eq!(text(worker.join("cgroup.procs")), "42");

        let killed = || WorkerEnd::Signaled(9);
        assert_eq!(
            group.explain(killed()),
            killed(),
            "nothing says that it was the kernel"
        );
        fs::write(worker.join("memory.events"), "oom 1\noom_kill 0\n").unwrap();
        assert_eq!(group.explain(killed()), killed());
        fs::write(worker.join("memory.events"), "oom 1\noom_kill 1\n").unwrap();
        fs::write(worker.join("memory.peak"), "1000\n").unwrap();
        let overrun = WorkerEnd::MemoryLimit {
            limit_bytes: 1000,
            used_bytes: 1000,
        };
        assert_eq!(group.explain(killed()), overrun);
        assert_eq!(group.explain(WorkerEnd::Exited(0)), WorkerEnd::Exited(0));
    }

    #[test]
    fn without_the_controller_nothing_is_changed() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("cgroup.controllers"), "cpu\n").unwrap();
        let id = TaskManagerId::parse("tm").unwrap();
        assert!(ControlGroups::take(folder.path().to_owned(), &id, 41).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_group_that_others_are_in_is_left_again() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        fs::write(root.join("cgroup.controllers"), "memory\n").unwrap();
        // It cannot be written to.
        fs::create_dir(root.join("cgroup.subtree_control")).unwrap();
        let id = TaskManagerId::parse("tm").unwrap();
        assert!(ControlGroups::take(root.clone(), &id, 41).is_err());
        assert_eq!(text(root.join("cgroup.procs")), "41");
    }
}
