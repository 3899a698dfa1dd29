//! The doors that stay shut between rooms, held against what cargo says of the workspace.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

use serde_json::Value;

/// The packages of the workspace with where they live, and who depends on whom outside of tests.
struct House {
    /// Folder within the workspace, by package name.
    rooms: BTreeMap<String, String>,
    /// Direct dependencies by package name, of all packages.
    doors: BTreeMap<String, BTreeSet<String>>,
}

impl House {
    fn look() -> Self {
        let output = Command::new(env!("CARGO"))
            .args(["metadata", "--format-version", "1", "--offline"])
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
            .output()
            .expect("cargo runs");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
        let text = |value: &Value| value.as_str().expect("a string").to_owned();
        let list = |value: &Value| value.as_array().expect("a list").clone();
        let root = text(&metadata["workspace_root"]);
        let names: BTreeMap<String, String> = list(&metadata["packages"])
            .iter()
            .map(|package| (text(&package["id"]), text(&package["name"])))
            .collect();
        let members: BTreeSet<String> = list(&metadata["workspace_members"]).iter().map(text).collect();
        let rooms = list(&metadata["packages"])
            .iter()
            .filter(|package| members.contains(&text(&package["id"])))
            .map(|package| {
                let manifest = text(&package["manifest_path"]);
                let room = manifest
                    .trim_start_matches(&root)
                    .trim_end_matches("/Cargo.toml")
                    .trim_start_matches('/');
                (text(&package["name"]), room.to_owned())
            })
            .collect();
        let doors = list(&metadata["resolve"]["nodes"])
            .iter()
            .map(|node| {
                let needed = list(&node["deps"])
                    .iter()
                    .filter(|dep| list(&dep["dep_kinds"]).iter().any(|kind| kind["kind"].is_null()))
                    .map(|dep| names[&text(&dep["pkg"])].clone())
                    .collect();
                (names[&text(&node["id"])].clone(), needed)
            })
            .collect();
        Self { rooms, doors }
    }

    /// Everything a package needs, however far down.
    fn reach(&self, package: &str) -> BTreeSet<String> {
        let mut reached = BTreeSet::new();
        let mut open = vec![package.to_owned()];
        while let Some(next) = open.pop() {
            for needed in self.doors.get(&next).into_iter().flatten() {
                if reached.insert(needed.clone()) {
                    open.push(needed.clone());
                }
            }
        }
        reached
    }

    fn under(&self, folder: &str) -> BTreeSet<String> {
        let inside = |room: &String| room == folder || room.starts_with(&format!("{folder}/"));
        self.rooms
            .iter()
            .filter(|(_, room)| inside(room))
            .map(|(name, _)| name.clone())
            .collect()
    }

    fn direct_users(&self, library: &str) -> BTreeSet<String> {
        self.rooms
            .keys()
            .filter(|room| self.doors[*room].contains(library))
            .cloned()
            .collect()
    }
}

#[test]
fn job_manager_and_task_manager_do_not_know_each_other() {
    let house = House::look();
    let (jobs, tasks) = (house.under("jobmanager"), house.under("taskmanager"));
    assert!(!jobs.is_empty() && !tasks.is_empty());
    for (from, to) in [(&jobs, &tasks), (&tasks, &jobs)] {
        for package in from {
            let through: Vec<_> = house.reach(package).intersection(to).cloned().collect();
            assert!(through.is_empty(), "{package} reaches {through:?}");
        }
    }
}

#[test]
fn the_pure_rooms_have_no_runtime_no_clock_and_no_store() {
    let house = House::look();
    for package in ["tidegate-core", "tidegate-coordinator", "tidegate-state"] {
        let reach = house.reach(package);
        for shut in [
            "tokio",
            "object_store",
            "rand",
            "chrono",
            "futures",
            "async-trait",
        ] {
            assert!(!reach.contains(shut), "{package} reaches {shut}");
        }
    }
}

#[test]
fn wire_types_and_the_unmaintained_codec_stay_in_their_rooms() {
    let house = House::look();
    assert_eq!(
        house.direct_users("prost"),
        BTreeSet::from(["tidegate-proto".to_owned()])
    );
    assert_eq!(
        house.direct_users("bincode"),
        BTreeSet::from(["tidegate-exchange".to_owned()])
    );
}

#[test]
fn remote_calls_begin_and_end_at_the_edges() {
    let edges = [
        "tidegate-jobmanager",
        "tidegate-proto",
        "tidegate-taskmanager",
        "tidegate-worker",
    ];
    assert_eq!(
        House::look().direct_users("tonic"),
        edges.map(str::to_owned).into_iter().collect()
    );
}

#[test]
fn a_job_executable_carries_no_server() {
    let reach = House::look().reach("tidegate");
    for shut in ["axum", "tidegate-jobmanager", "tidegate-taskmanager"] {
        assert!(!reach.contains(shut), "tidegate reaches {shut}");
    }
}

#[test]
fn every_room_keeps_the_house_rules() {
    for room in House::look().rooms.values() {
        let manifest = format!("{}/../{room}/Cargo.toml", env!("CARGO_MANIFEST_DIR"));
        let manifest = std::fs::read_to_string(&manifest).expect("every member has a manifest");
        assert!(
            manifest.contains("[lints]\nworkspace = true"),
            "{room} does not take over the workspace's lints"
        );
    }
}
