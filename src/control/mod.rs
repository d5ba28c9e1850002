//! The admin API: faults are listed, added and taken away while calls pass, and
//! how clients take them is measured.
//!
//! HTTP/1.1 with JSON, over TCP (with TLS, if it is told to) or a Unix socket.
//! [`Server`] answers, [`Client`] asks; `docs/admin-api.json` describes both.
//! What a request does is decided in `api` without a socket or a clock, who may
//! ask at all in `access`.

mod access;
mod address;
mod api;
mod client;
mod error;
mod listener;
mod measuring;
mod reply;
mod routes;
mod server;
mod socket_file;
mod tls;
mod token;

pub use address::Address;
pub use api::{MOST_BODY_BYTES, TIME_TO_LIVE};
pub use client::{Asked, Client, ClientError, Method};
pub use error::StartError;
pub use routes::described;
pub use server::{Config, Server};
pub use tls::{ClientTls, ServerTls};

/// The description of this API, in OpenAPI's own form.
pub const OPENAPI: &str = include_str!("../../docs/admin-api.json");
