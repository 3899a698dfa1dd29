//! What stands before the service and makes requests meet with the faults of the script.

use std::io;

use bytes::Bytes;
use futures::{StreamExt, stream};
use http_body_util::{BodyExt, StreamBody};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Frame, Incoming},
    header::{IF_MATCH, IF_NONE_MATCH},
};
use s3s::{Body, HttpResponse, service::S3Service};

use super::{
    Buckets,
    fault::{Fault, FaultScript, Operation},
    hold::Moment,
};

/// The way of every request.
#[derive(Clone)]
pub(super) struct Gate {
    pub(super) service: S3Service,
    pub(super) script: FaultScript,
    pub(super) buckets: Buckets,
}

/// Why a connection is closed without an answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Closed {
    #[error("the script of faults closes this connection")]
    OnPurpose,
    #[error("the request could not be read: {0}")]
    Body(hyper::Error),
    #[error("the request could not be served: {0:?}")]
    Service(s3s::HttpError),
}

impl Gate {
    pub(super) async fn serve(self, request: Request<Incoming>) -> Result<HttpResponse, Closed> {
        let path = request
            .uri()
            .path_and_query()
            .map_or("/", |path| path.as_str())
            .to_owned();
        match self.script.next(operation(request.method(), &path), &path) {
            None => self.pass(request).await,
            Some(Fault::Delay(duration)) => {
                tokio::time::sleep(duration).await;
                self.pass(request).await
            }
            Some(Fault::Status(status)) => {
                // The client has sent everything before it listens.
                read(request).await?;
                Ok(refusal(status))
            }
            Some(Fault::Reset) => Err(Closed::OnPurpose),
            Some(Fault::LostAnswer) => {
                let answer = self.pass(request).await?;
                let _ = BodyExt::collect(answer.into_body()).await;
                Err(Closed::OnPurpose)
            }
            Some(Fault::Hold(hold)) => match hold.moment() {
                Moment::Before => {
                    hold.wait().await;
                    self.pass(request).await
                }
                Moment::After => {
                    let answer = self.pass(request).await;
                    hold.wait().await;
                    answer
                }
            },
            Some(Fault::ResetMidBody) => Ok(self
                .pass(request)
                .await
                .map(cut_off)
                .unwrap_or_else(|_| refusal(500))),
            Some(Fault::TornWrite) => {
                self.tear(request, &path).await?;
                Err(Closed::OnPurpose)
            }
        }
    }

    async fn pass(&self, request: Request<Incoming>) -> Result<HttpResponse, Closed> {
        let request = request.map(Body::from);
        self.service.call(request).await.map_err(Closed::Service)
    }

    async fn tear(&self, request: Request<Incoming>, path: &str) -> Result<(), Closed> {
        let has_condition =
            request.headers().contains_key(IF_NONE_MATCH) || request.headers().contains_key(IF_MATCH);
        let is_plain = request.method() == Method::PUT && !path.contains('?') && !has_condition;
        let body = read(request).await?;
        if let (true, Some((bucket, key))) = (is_plain, path.trim_start_matches('/').split_once('/')) {
            self.buckets.put(bucket, key, body.slice(..body.len() / 2));
        }
        Ok(())
    }
}

fn operation(method: &Method, path: &str) -> Operation {
    match *method {
        Method::POST if path.ends_with("?delete") => Operation::Delete,
        Method::PUT | Method::POST => Operation::Write,
        Method::DELETE => Operation::Delete,
        _ => Operation::Read,
    }
}

async fn read(request: Request<Incoming>) -> Result<Bytes, Closed> {
    let body = request.into_body().collect().await.map_err(Closed::Body)?;
    Ok(body.to_bytes())
}

fn refusal(status: u16) -> HttpResponse {
    let body = format!("<Error><Code>Scripted</Code><Message>scripted fault {status}</Message></Error>");
    let mut answer = Response::new(Body::from(body));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer
}

/// The same answer, whose body ends in the middle.
fn cut_off(answer: HttpResponse) -> HttpResponse {
    answer.map(|body| {
        let frames = stream::once(BodyExt::collect(body)).flat_map(|collected| {
            let bytes = collected.map(|all| all.to_bytes()).unwrap_or_default();
            let half = bytes.slice(..bytes.len() / 2);
            let end: Result<Frame<Bytes>, io::Error> = Err(io::ErrorKind::ConnectionReset.into());
            stream::iter([Ok(Frame::data(half)), end])
        });
        Body::http_body_unsync(StreamBody::new(Box::pin(frames)))
    })
}
