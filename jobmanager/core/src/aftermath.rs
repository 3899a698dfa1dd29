//! What a committed epoch sets going: savepoints are copied, and what nothing needs any more is collected.

use tidegate_core::{CheckpointId, ProcessingTime, epoch::ManifestReference};

use crate::{
    command::{CollectionPlan, Command, SavepointError, SavepointInfo},
    coordinator::{Coordinator, ExportStage},
    event::RequestId,
};

impl Coordinator {
    pub(crate) fn begin_exports(&mut self) {
        for export in &mut self.exports {
            if let ExportStage::AwaitingCommit(manifest) = &export.stage {
                self.commands.push(Command::ExportSavepoint {
                    request: export.request,
                    name: export.name.clone(),
                    epoch: export.record.epoch,
                    manifest: manifest.clone(),
                });
                export.stage = ExportStage::Copying;
            }
        }
    }

    pub(crate) fn savepoint_exported(
        &mut self,
        now: ProcessingTime,
        request: RequestId,
        result: Result<SavepointInfo, SavepointError>,
    ) {
        let before = self.exports.len();
        self.exports.retain(|export| export.request != request);
        if self.exports.len() < before {
            self.commands.push(Command::Answer { request, result });
            self.finish_stop(now);
        }
    }

    /// Asks for the collection of what the tail has made superfluous.
    pub(crate) fn collect(&mut self) {
        let Some(tail) = &self.tail else { return };
        let mut retained: Vec<ManifestReference> = Vec::new();
        let exported = self.exports.iter().map(|export| &export.record);
        for record in exported.chain(&self.links).chain([&tail.record]) {
            if let Some(manifest) = &record.manifest
                && !retained.contains(manifest)
            {
                retained.push(manifest.clone());
            }
        }
        retained.sort_by_key(|manifest| manifest.checkpoint);
        let newest = tail.record.manifest.as_ref().or(retained.last());
        self.commands.push(Command::Collect(CollectionPlan {
            generation: self.generation.unwrap_or_default(),
            exporting: self.exports.iter().map(|export| export.name.clone()).collect(),
            tail: tail.record.epoch,
            floor: tail.record.floor,
            claimed: newest.map_or(CheckpointId(0), |manifest| manifest.checkpoint),
            retained,
        }));
    }
}
