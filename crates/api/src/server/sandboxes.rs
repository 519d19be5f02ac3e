//! Sandboxes, what joins them to networks, and the programs in them.

use super::{
    Daemon,
    extract::Strict,
    failure::{Answer, Failure},
};
use crate::wire::ExitRequest;
use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use linkspan_engine::{EndpointView, ProcessRecord, SandboxView};
use linkspan_model::{EndpointSpec, SandboxSpec};

pub(super) async fn list(State(daemon): State<Daemon>) -> Answer<Vec<SandboxView>> {
    daemon.call(|controller| Ok(controller.sandboxes())).await.map(Json)
}

pub(super) async fn create(
    State(daemon): State<Daemon>,
    Strict(spec): Strict<SandboxSpec>,
) -> Result<(StatusCode, Json<SandboxView>), Failure> {
    let made = daemon.call(move |controller| controller.create_sandbox(spec)).await?;
    Ok((StatusCode::CREATED, Json(made)))
}

pub(super) async fn show(State(daemon): State<Daemon>, Path(sandbox): Path<String>) -> Answer<SandboxView> {
    daemon.call(move |controller| controller.sandbox(&sandbox)).await.map(Json)
}

pub(super) async fn remove(State(daemon): State<Daemon>, Path(sandbox): Path<String>) -> Result<StatusCode, Failure> {
    daemon.call(move |controller| controller.remove_sandbox(&sandbox)).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn connect(
    State(daemon): State<Daemon>,
    Path(sandbox): Path<String>,
    Strict(spec): Strict<EndpointSpec>,
) -> Result<(StatusCode, Json<EndpointView>), Failure> {
    let made = daemon.call(move |controller| controller.connect(&sandbox, spec)).await?;
    Ok((StatusCode::CREATED, Json(made)))
}

pub(super) async fn set_process(
    State(daemon): State<Daemon>,
    Path(sandbox): Path<String>,
    Strict(process): Strict<ProcessRecord>,
) -> Result<StatusCode, Failure> {
    daemon.call(move |controller| controller.set_process(&sandbox, process)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The sandbox goes with its program where that is wished: in one request, so that whoever waited
/// for the program cannot die in between.
pub(super) async fn process_exited(
    State(daemon): State<Daemon>,
    Path(sandbox): Path<String>,
    Strict(request): Strict<ExitRequest>,
) -> Result<StatusCode, Failure> {
    let ended = daemon.call(move |controller| {
        controller.process_exited(&sandbox, request.status)?;
        let sandbox = controller.sandbox(&sandbox)?;
        match sandbox.process {
            Some(process) if process.remove => controller.remove_sandbox(&sandbox.id.to_string()),
            _ => Ok(()),
        }
    });
    ended.await?;
    Ok(StatusCode::NO_CONTENT)
}
