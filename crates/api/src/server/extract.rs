use super::failure::Failure;
use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
};
use linkspan_model::{Error, Result};
use serde::de::DeserializeOwned;

/// A JSON body in which every field is known: a misspelt wish must not be ignored.
pub(super) struct Strict<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Strict<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        // Its size was looked at when it was read.
        let unread = |error| Error::invalid(format!("the body of the request cannot be read: {error}"));
        let body = Bytes::from_request(request, state).await.map_err(unread)?;
        Ok(Self(parse(&body)?))
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    let malformed = |error: serde_json::Error| Error::invalid(format!("malformed request: {error}"));
    let mut unknown = Vec::new();
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let value =
        serde_ignored::deserialize(&mut deserializer, |path| unknown.push(path.to_string())).map_err(malformed)?;
    deserializer.end().map_err(malformed)?;
    match unknown.first() {
        None => Ok(value),
        Some(field) => Err(Error::invalid(format!("malformed request: unknown field {field:?}"))
            .fix("leave it out, or use a daemon that knows it")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use linkspan_model::{EndpointSpec, ErrorClass, SandboxSpec};

    #[test]
    fn unknown_fields_are_refused_by_path() {
        let error = parse::<SandboxSpec>(br#"{"networks":[{"network":"a","ipv5":1}]}"#).unwrap_err();
        assert_eq!(error.class(), ErrorClass::Invalid);
        assert!(error.what().contains("networks.0.ipv5"), "{error}");
        assert_eq!(parse::<EndpointSpec>(br#"{"network":"a"}"#), Ok(EndpointSpec::on("a")));
    }

    #[test]
    fn malformed_bodies_are_refused() {
        for body in ["", "{", "[]", r#"{"network":"a"} x"#, r#"{"network":"a","ipv4":"10.0.0"}"#] {
            let error = parse::<EndpointSpec>(body.as_bytes()).unwrap_err();
            assert_eq!(error.class(), ErrorClass::Invalid, "{body}");
        }
    }
}
