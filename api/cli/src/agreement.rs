//! The fields that the command reads, held against the job manager's description of its interface.

use std::collections::BTreeSet;

use serde::{
    Deserialize,
    de::{Error as _, Visitor, value::Error},
    forward_to_deserialize_any,
};
use serde_json::Value;

use crate::{
    documents::{
        Artifact, Artifacts, Checkpoint, CheckpointDetails, CheckpointTask, Checkpoints, ExceptionEntry,
        ExceptionHistory, Exceptions, JobDetails, JobPlan, JobSummary, JobsOverview, LogFile, LogFiles,
        Metrics, Overview, Plan, PlanInput, PlanNode, SavepointProgress, SavepointStatus, Submitted, Subtask,
        TaskCounts, TaskManager, TaskManagerWorker, TaskManagers, Triggered, Vertex, VertexDetails,
    },
    error::Problem,
};

/// Learns which fields a struct has, and yields none.
struct FieldNames<'a>(&'a mut BTreeSet<&'static str>);

impl<'de> serde::Deserializer<'de> for FieldNames<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("no struct"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        self.0.extend(fields);
        Err(Error::custom("that was all"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

fn fields<'de, T: Deserialize<'de>>() -> BTreeSet<&'static str> {
    let mut fields = BTreeSet::new();
    let _ = T::deserialize(FieldNames(&mut fields));
    fields
}

/// The properties of a schema, those of the parts that it is put together from included.
fn properties(document: &Value, schema: &Value) -> BTreeSet<String> {
    let referred = schema["$ref"]
        .as_str()
        .and_then(|path| document.pointer(path.trim_start_matches('#')));
    let parts = schema["allOf"].as_array().into_iter().flatten().chain(referred);
    let own = schema["properties"]
        .as_object()
        .into_iter()
        .flat_map(|own| own.keys().cloned());
    parts
        .flat_map(|part| properties(document, part))
        .chain(own)
        .collect()
}

#[test]
fn every_field_that_is_read_is_one_that_is_sent() {
    let document: Value = serde_json::from_str(include_str!("../../../jobmanager/openapi.json")).unwrap();
    for (schema, read) in [
        ("ArtifactList", fields::<Artifacts>()),
        ("ArtifactView", fields::<Artifact>()),
        ("CheckpointDetails", fields::<CheckpointDetails>()),
        ("CheckpointHistory", fields::<Checkpoints>()),
        ("CheckpointTask", fields::<CheckpointTask>()),
        ("CheckpointView", fields::<Checkpoint>()),
        ("ClusterOverview", fields::<Overview>()),
        ("ExceptionEntry", fields::<ExceptionEntry>()),
        ("ExceptionHistory", fields::<ExceptionHistory>()),
        ("JobDetails", fields::<JobDetails>()),
        ("JobExceptions", fields::<Exceptions>()),
        ("JobOverview", fields::<JobsOverview>()),
        ("JobPlan", fields::<JobPlan>()),
        ("JobSummary", fields::<JobSummary>()),
        ("LogFile", fields::<LogFile>()),
        ("LogFiles", fields::<LogFiles>()),
        ("PlanInput", fields::<PlanInput>()),
        ("PlanNode", fields::<PlanNode>()),
        ("PlanView", fields::<Plan>()),
        ("ProblemDocument", fields::<Problem>()),
        ("SavepointProgress", fields::<SavepointProgress>()),
        ("SavepointStatus", fields::<SavepointStatus>()),
        ("Submitted", fields::<Submitted>()),
        ("SubtaskView", fields::<Subtask>()),
        ("TaskCounts", fields::<TaskCounts>()),
        ("TaskManagerDetails", fields::<TaskManager>()),
        ("TaskManagerList", fields::<TaskManagers>()),
        ("TaskManagerWorker", fields::<TaskManagerWorker>()),
        ("TaskMetricsView", fields::<Metrics>()),
        ("Triggered", fields::<Triggered>()),
        ("VertexDetails", fields::<VertexDetails>()),
        ("VertexView", fields::<Vertex>()),
    ] {
        let sent = properties(&document, &document["components"]["schemas"][schema]);
        assert!(
            !sent.is_empty() && !read.is_empty(),
            "{schema}: {sent:?} {read:?}"
        );
        for field in read {
            assert!(sent.contains(field), "{schema} has no {field}, but {sent:?}");
        }
    }
}
