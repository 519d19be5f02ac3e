//! Networks and their endpoints.

use super::{
    Daemon,
    extract::Strict,
    failure::{Answer, Failure},
};
use crate::wire::{DisconnectRequest, JoinRequest, PruneRequest};
use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use linkspan_engine::{EndpointView, NetworkView, Warned};
use linkspan_model::{EndpointSpec, NetworkId, NetworkSpec};

pub(super) async fn list(State(daemon): State<Daemon>) -> Answer<Vec<NetworkView>> {
    daemon.call(|controller| Ok(controller.networks())).await.map(Json)
}

pub(super) async fn create(
    State(daemon): State<Daemon>,
    Strict(spec): Strict<NetworkSpec>,
) -> Result<(StatusCode, Json<Warned<NetworkId>>), Failure> {
    let made = daemon.call(move |controller| controller.create_network(spec)).await?;
    Ok((StatusCode::CREATED, Json(made)))
}

pub(super) async fn prune(
    State(daemon): State<Daemon>,
    Strict(request): Strict<PruneRequest>,
) -> Answer<Vec<NetworkView>> {
    let prune = daemon.call(move |controller| controller.prune_networks(&|network| !request.matches(network)));
    prune.await.map(Json)
}

pub(super) async fn show(State(daemon): State<Daemon>, Path(network): Path<String>) -> Answer<NetworkView> {
    daemon.call(move |controller| controller.network(&network)).await.map(Json)
}

pub(super) async fn remove(State(daemon): State<Daemon>, Path(network): Path<String>) -> Result<StatusCode, Failure> {
    daemon.call(move |controller| controller.remove_network(&network)).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn disconnect(
    State(daemon): State<Daemon>,
    Path(network): Path<String>,
    Strict(request): Strict<DisconnectRequest>,
) -> Result<StatusCode, Failure> {
    daemon.call(move |controller| controller.disconnect(&network, &request.sandbox, request.force)).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn create_endpoint(
    State(daemon): State<Daemon>,
    Strict(spec): Strict<EndpointSpec>,
) -> Result<(StatusCode, Json<EndpointView>), Failure> {
    let made = daemon.call(move |controller| controller.create_endpoint(spec)).await?;
    Ok((StatusCode::CREATED, Json(made)))
}

pub(super) async fn delete_endpoint(
    State(daemon): State<Daemon>,
    Path(endpoint): Path<String>,
) -> Result<StatusCode, Failure> {
    daemon.call(move |controller| controller.delete_endpoint(&endpoint)).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn join(
    State(daemon): State<Daemon>,
    Path(endpoint): Path<String>,
    Strict(request): Strict<JoinRequest>,
) -> Answer<EndpointView> {
    daemon.call(move |controller| controller.join(&endpoint, &request.sandbox)).await.map(Json)
}

pub(super) async fn leave(State(daemon): State<Daemon>, Path(endpoint): Path<String>) -> Result<StatusCode, Failure> {
    daemon.call(move |controller| controller.leave(&endpoint)).await?;
    Ok(StatusCode::NO_CONTENT)
}
