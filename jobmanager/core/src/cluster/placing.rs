//! Giving slots away: in which order jobs are served, and who waits for what.

use tidegate_core::{JobId, ProcessingTime, TaskManagerId};

use super::{
    command::ClusterCommand,
    job::Told,
    shortage::Shortage,
    spread::{Room, spread},
    state::Cluster,
};

/// A job that waits for slots that might come, and lets nobody by.
struct Waiting {
    job: JobId,
    target: Option<String>,
    missing: u32,
}

impl Waiting {
    /// Whether a job of this target would take what this one waits for.
    fn competes_with(&self, target: Option<&str>) -> bool {
        match (&self.target, target) {
            (Some(mine), Some(theirs)) => mine == theirs,
            _ => true,
        }
    }
}

impl Cluster {
    /// Serves all jobs that are short of slots, in their order.
    pub(crate) fn place_all(&mut self, now: ProcessingTime) {
        let mut order: Vec<(bool, u64, JobId)> = self
            .jobs
            .iter()
            .map(|(id, job)| (!job.has_run, job.order, id.clone()))
            .collect();
        order.sort();
        let ids: Vec<JobId> = order.into_iter().map(|(_, _, id)| id).collect();
        let mut waiting: Vec<Waiting> = Vec::new();
        for (index, id) in ids.iter().enumerate() {
            let missing = self.missing(id);
            let told = if missing == 0 {
                Told::Placed
            } else {
                self.serve(now, id, missing, &mut waiting, &ids[index + 1..])
            };
            self.tell(now, id, told);
        }
    }

    /// Gives a job what it misses, or finds out what it waits for.
    fn serve(
        &mut self,
        now: ProcessingTime,
        id: &JobId,
        missing: u32,
        waiting: &mut Vec<Waiting>,
        later: &[JobId],
    ) -> Told {
        let Some(job) = self.jobs.get(id) else {
            return Told::Placed;
        };
        let target = job.target.clone();
        let ahead = waiting
            .iter()
            .find(|ahead| ahead.competes_with(target.as_deref()));
        if let Some(ahead) = ahead {
            return Told::Waits(Shortage::Turn {
                ahead: ahead.job.clone(),
                missing: ahead.missing,
            });
        }
        let shortage = if job.is_reattaching(now) {
            Some(Shortage::Reattaching {
                missing,
                patience: self.reattachment(),
            })
        } else {
            let pause = job.pause.as_ref().filter(|pause| now < pause.until);
            pause.map(|pause| Shortage::Failing {
                failures: pause.failures,
                pause: pause.length,
                reason: pause.reason.clone(),
            })
        };
        let shortage = match shortage {
            Some(shortage) => shortage,
            None if self.try_place(now, id, missing) => return Told::Placed,
            None => self.make_room(now, id, later),
        };
        // A job that not even the whole cluster has room for lets others by.
        let hopeless = matches!(shortage, Shortage::Slots { needed, total, .. } if needed > total);
        if !hopeless {
            waiting.push(Waiting {
                job: id.clone(),
                target,
                missing,
            });
        }
        Told::Waits(shortage)
    }

    /// Starts workers for all missing slots, if there is room for all.
    fn try_place(&mut self, now: ProcessingTime, id: &JobId, missing: u32) -> bool {
        let Some(job) = self.jobs.get(id) else {
            return false;
        };
        let fitting = self.task_managers.iter();
        let fitting = fitting.filter(|(_, task_manager)| task_manager.fits(job.target.as_deref()));
        let (ids, rooms): (Vec<TaskManagerId>, Vec<Room>) = fitting
            .map(|(id, task_manager)| {
                let room = Room {
                    slots: task_manager.slots,
                    used: task_manager.slots - task_manager.free(),
                    rank: u32::from(job.shuns(now, id)),
                };
                (id.clone(), room)
            })
            .unzip();
        let Some(dealt) = spread(&rooms, missing) else {
            return false;
        };
        for (index, slots) in dealt {
            self.start_worker(now, id, &ids[index], slots);
        }
        true
    }

    /// There are too few free slots. A job that stands still for it may take the place of later ones that do, too.
    fn make_room(&mut self, now: ProcessingTime, id: &JobId, later: &[JobId]) -> Shortage {
        let missing = self.missing(id);
        let job = self.jobs.get(id);
        let (needed, has_run) = job.map_or((0, false), |job| (job.slots, job.has_run));
        let target = job.and_then(|job| job.target.clone());
        let target = target.as_deref();
        let fitting = || self.task_managers.values().filter(|on| on.fits(target));
        let free: u32 = fitting().map(|on| on.free()).sum();
        let vacating: u32 = fitting().map(|on| on.vacating()).sum();
        let total: u32 = fitting().map(|on| on.slots).sum();
        let mut coming = free + vacating;
        if has_run && coming < missing && needed <= total {
            coming += self.take_from(now, id, missing - coming, target, later);
        }
        if coming >= missing {
            return Shortage::Vacating { missing };
        }
        Shortage::Slots {
            needed,
            missing,
            free,
            total,
            target: target.map(str::to_owned),
        }
    }

    /// Releases workers of later jobs that have lost others and stand still, the last job's first, if that is enough.
    fn take_from(
        &mut self,
        now: ProcessingTime,
        id: &JobId,
        wanted: u32,
        target: Option<&str>,
        later: &[JobId],
    ) -> u32 {
        let mut given = Vec::new();
        let mut sum = 0;
        for victim in later.iter().rev() {
            let waits_for_its_own = self.jobs.get(victim).is_some_and(|job| job.is_reattaching(now));
            if sum >= wanted || waits_for_its_own || self.missing(victim) == 0 {
                continue;
            }
            for (worker, on) in self.workers(victim) {
                let fits = self.task_managers.get(on).is_some_and(|on| on.fits(target));
                if let Some(hosted) = self.hosted(on, worker).filter(|_| fits && sum < wanted) {
                    sum += hosted.slots;
                    given.push((victim.clone(), on.clone(), worker.clone()));
                }
            }
        }
        if sum < wanted {
            return 0;
        }
        let reason = format!("its slots were given to job {id}, which was there before");
        for (victim, on, worker) in given {
            self.release(&victim, &on, worker, &reason);
        }
        sum
    }

    /// Says how a job stands, if that is news.
    fn tell(&mut self, now: ProcessingTime, id: &JobId, told: Told) {
        let Some(job) = self.jobs.get_mut(id) else { return };
        if told == Told::Placed {
            job.has_run = true;
        }
        if told == Told::Placed || !job.is_reattaching(now) {
            job.reattaching_until = None;
            job.gone.clear();
        }
        if job.told.as_ref() == Some(&told) {
            return;
        }
        job.told = Some(told.clone());
        let job = id.clone();
        self.commands.push(match told {
            Told::Placed => ClusterCommand::JobPlaced { job },
            Told::Waits(shortage) => ClusterCommand::JobWaits { job, shortage },
        });
    }
}
