//! What holds of any body of a request: for fuzzing (docs/testing.md), and for the tests that try the same
//! inputs without a fuzzer.

use super::extract::Strict;
use crate::wire::{
    BODY_LIMIT, DisconnectRequest, ExitRequest, JoinRequest, PruneRequest, UpgradeRequest, VerifyRequest,
};
use axum::{
    body::Body,
    extract::{FromRequest, Request},
};
use linkspan_engine::{ExplainRequest, ProcessRecord};
use linkspan_model::{EndpointSpec, ErrorClass, NetworkSpec, SandboxSpec};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fmt::Debug,
    pin::pin,
    task::{Context, Poll, Waker},
};

/// Whatever a client of the local API sends: the first byte chooses the request, the rest is its body. It is refused as
/// invalid, or what was understood is understood again as the client would write it.
///
/// # Panics
/// Where that does not hold.
pub fn request_body(input: &[u8]) {
    let Some((&request, body)) = input.split_first() else { return };
    match request {
        b'n' => body_of::<NetworkSpec>(body),
        b's' => body_of::<SandboxSpec>(body),
        b'e' => body_of::<EndpointSpec>(body),
        b'p' => body_of::<PruneRequest>(body),
        b'd' => body_of::<DisconnectRequest>(body),
        b'j' => body_of::<JoinRequest>(body),
        b'x' => body_of::<ExitRequest>(body),
        b'u' => body_of::<UpgradeRequest>(body),
        b'v' => body_of::<VerifyRequest>(body),
        b'q' => body_of::<ExplainRequest>(body),
        b'r' => body_of::<ProcessRecord>(body),
        _ => {}
    }
}

fn body_of<T: DeserializeOwned + Serialize + PartialEq + Debug>(body: &[u8]) {
    let Some(understood) = extract::<T>(body) else { return };
    let again = serde_json::to_vec(&understood).expect("a request can be written");
    assert!(again.len() <= BODY_LIMIT);
    assert_eq!(extract::<T>(&again).as_ref(), Some(&understood), "{}", String::from_utf8_lossy(&again));
}

/// `body` as the server reads it.
fn extract<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    let request = Request::new(Body::from(body.to_vec()));
    let reading = pin!(Strict::<T>::from_request(request, &()));
    match reading.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(Strict(understood))) => Some(understood),
        Poll::Ready(Err(failure)) => {
            assert_eq!(failure.0.class(), ErrorClass::Invalid, "{}", failure.0);
            assert!(failure.0.what().len() < body.len() * 6 + 1000, "the message is longer than what it is about");
            None
        }
        Poll::Pending => panic!("the whole body is there"),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn saved_inputs() {
        linkspan_testkit::replay("request_body", super::request_body);
    }
}
