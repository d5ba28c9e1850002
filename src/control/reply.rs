//! What is answered.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, SERVER, WWW_AUTHENTICATE,
};
use hyper::{Response, StatusCode};
use serde::Serialize;
use serde_json::json;

use crate::fault::plan::PlanErrors;

/// By this a client knows whom it talks to.
pub(super) const SERVER_NAME: &str = concat!("etcdtap/", env!("CARGO_PKG_VERSION"));

/// What is answered: always JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
    more: Option<(HeaderName, HeaderValue)>,
}

impl Reply {
    /// An answer that is made now.
    pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Reply {
        match serde_json::to_vec(value) {
            Ok(body) => Reply {
                status,
                body: body.into(),
                more: None,
            },
            Err(error) => Reply::refused(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the answer cannot be written as JSON",
                error,
            ),
        }
    }

    /// A document as it stands.
    pub(super) fn document(text: &'static str) -> Reply {
        Reply {
            status: StatusCode::OK,
            body: Bytes::from_static(text.as_bytes()),
            more: None,
        }
    }

    /// What was wrong, and what would be right.
    pub(super) fn refused(status: StatusCode, error: &str, hint: impl ToString) -> Reply {
        let body = json!({ "error": error, "hint": hint.to_string() });
        let mut reply = Reply {
            status,
            body: body.to_string().into(),
            more: None,
        };
        if status == StatusCode::UNAUTHORIZED {
            reply = reply.with(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        reply
    }

    /// A sentence whose part after the semicolon is the remedy.
    pub(super) fn sentence(status: StatusCode, sentence: &str) -> Reply {
        match sentence.split_once("; ") {
            Some((error, hint)) => Reply::refused(status, error, hint),
            None => Reply::json(status, &json!({ "error": sentence })),
        }
    }

    /// All that is wrong with a fault.
    pub(super) fn problems(problems: &PlanErrors) -> Reply {
        let listed: Vec<_> = problems
            .0
            .iter()
            .map(|problem| {
                let mut listed = json!({ "what": problem.what });
                if !problem.path.is_empty() {
                    listed["path"] = json!(problem.path);
                }
                if let Some(place) = problem.place {
                    listed["line"] = json!(place.line);
                    listed["column"] = json!(place.column);
                }
                if let Some(hint) = &problem.hint {
                    listed["hint"] = json!(hint);
                }
                listed
            })
            .collect();
        let error = match listed.len() {
            1 => "there is something wrong with the fault".to_owned(),
            many => format!("there are {many} things wrong with the fault"),
        };
        let body = json!({ "error": error, "problems": listed });
        Reply::json(StatusCode::BAD_REQUEST, &body)
    }

    /// Says which methods would do.
    pub(super) fn allowing(self, methods: &str) -> Reply {
        match HeaderValue::try_from(methods) {
            Ok(methods) => self.with(ALLOW, methods),
            Err(_) => self,
        }
    }

    /// Says where what was made is found.
    pub(super) fn at(self, path: &str) -> Reply {
        match HeaderValue::try_from(path) {
            Ok(path) => self.with(LOCATION, path),
            Err(_) => self,
        }
    }

    fn with(mut self, name: HeaderName, value: HeaderValue) -> Reply {
        self.more = Some((name, value));
        self
    }
}

impl From<Reply> for Response<Full<Bytes>> {
    fn from(reply: Reply) -> Self {
        let mut response = Response::new(Full::new(reply.body));
        *response.status_mut() = reply.status;
        let headers = response.headers_mut();
        let json = HeaderValue::from_static("application/json");
        headers.insert(CONTENT_TYPE, json);
        headers.insert(SERVER, HeaderValue::from_static(SERVER_NAME));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.extend(reply.more);
        response
    }
}
