//! How much memory processes have, and those that have too much.

use std::{fs, time::Duration};

use tokio::time::{MissedTickBehavior, interval};

/// From one look at a process to the next. What grows faster than the machine has memory is the kernel's affair.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// The resident memory of a process, in bytes; `None` if it is gone.
pub(crate) fn resident_bytes(process_id: u32) -> Option<u64> {
    // See proc(5): the second number is of pages.
    let text = fs::read_to_string(format!("/proc/{process_id}/statm")).ok()?;
    let pages: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// The memory of this machine, or what this process's control group may have of it, in bytes.
pub(crate) fn machine_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = total.trim().strip_suffix("kB")?.trim().parse().ok()?;
    let limit = own_control_group_limit().unwrap_or(u64::MAX);
    Some((kibibytes * 1024).min(limit))
}

fn own_control_group_limit() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let group = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let limit = fs::read_to_string(format!("/sys/fs/cgroup/{group}/memory.max")).ok()?;
    limit.trim().parse().ok()
}

/// Resolves, with how much it has, when a process has more than `limit_bytes`; never without a limit or when it is gone.
pub(crate) async fn overrun(process_id: Option<u32>, limit_bytes: Option<u64>) -> u64 {
    let (Some(process_id), Some(limit)) = (process_id, limit_bytes) else {
        return std::future::pending().await;
    };
    let mut looks = interval(LOOK_INTERVAL);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        match resident_bytes(process_id) {
            Some(used) if used > limit => return used,
            Some(_) => {}
            None => return std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_a_process_above_its_limit_is_noticed() {
        let own = std::process::id();
        let resident = resident_bytes(own).unwrap();
        assert!(resident > 100_000 && resident < machine_bytes().unwrap());
        assert!(overrun(Some(own), Some(resident / 2)).await > resident / 2);
        let within = overrun(Some(own), Some(resident * 1000));
        let quiet = tokio::time::timeout(LOOK_INTERVAL * 3, within).await;
        assert!(quiet.is_err(), "a process within its limit is left alone");
        assert_eq!(resident_bytes(u32::MAX), None);
    }
}
