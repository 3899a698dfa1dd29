//! The services that share a port.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
};

use futures::future::Either;
use tidegate_proto::{control::WorkerControlServer, taskmanager::TaskManagerControlServer};
use tonic::{
    Status,
    body::Body,
    codegen::{Service, http},
    server::NamedService,
};

use crate::{cluster::TaskManagerService, service::ControlService};

/// Workers, and task managers where they attach at the same port. A call goes to the service that its path names.
#[derive(Clone)]
pub(crate) struct Services {
    pub(crate) workers: WorkerControlServer<ControlService>,
    pub(crate) task_managers: Option<TaskManagerControlServer<TaskManagerService>>,
}

type Answer<F> = Either<F, Ready<Result<http::Response<Body>, Infallible>>>;
type WorkersFuture = <WorkerControlServer<ControlService> as Service<http::Request<Body>>>::Future;
type TaskManagersFuture =
    <TaskManagerControlServer<TaskManagerService> as Service<http::Request<Body>>>::Future;

impl Service<http::Request<Body>> for Services {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Either<WorkersFuture, Answer<TaskManagersFuture>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Both are always ready.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let service = request.uri().path().split('/').nth(1).unwrap_or_default();
        if service == WorkerControlServer::<ControlService>::NAME {
            return Either::Left(self.workers.call(request));
        }
        match &mut self.task_managers {
            Some(task_managers) if service == TaskManagerControlServer::<TaskManagerService>::NAME => {
                Either::Right(Either::Left(task_managers.call(request)))
            }
            _ => {
                let unknown = Status::unimplemented(format!("there is no service {service:?} at this port"));
                Either::Right(Either::Right(ready(Ok(unknown.into_http()))))
            }
        }
    }
}
