//! Task managers that are attached: who they are, what they are told, and what they say.

mod admission;
mod link;
mod registry;
mod service;
mod session;

pub(crate) use link::TaskManagerLink;
pub(crate) use registry::TaskManagers;
pub(crate) use service::TaskManagerService;
