//! One request and its answer.

use std::error::Error;
use std::sync::Arc;

use axum::body::Body;
use futures::StreamExt as _;
use http::{Method, Request, header};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;

use super::{BODY_LIMIT, Metrics};
use crate::health::check::Address;

/// What is asked of an address.
pub(super) enum Question {
    /// Its document.
    Get,
    /// A form, at a path below it.
    Form {
        /// Begins with `/`.
        below: &'static str,
        /// The encoded fields.
        form: String,
    },
}

impl Metrics {
    /// Asks once, and reads the whole answer: its status and its body.
    pub(super) async fn exchange(&self, url: &Address, question: &Question) -> Result<(u16, Vec<u8>), String> {
        let uri = url.uri();
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
        let secure = uri.scheme() == Some(&http::uri::Scheme::HTTPS);
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let request = request(url, question).map_err(|error| format!("cannot be asked: {error}"))?;
        let stream = TcpStream::connect((host.as_str(), port)).await;
        let stream = stream.map_err(|error| format!("cannot connect: {}", chain(&error)))?;
        if !secure {
            return send(stream, request).await;
        }
        let name = ServerName::try_from(host).map_err(|_| "the host is no name that a certificate bears".to_owned())?;
        let connector = TlsConnector::from(Arc::clone(&self.tls));
        let stream = connector.connect(name, stream).await;
        send(stream.map_err(|error| format!("cannot connect: {}", chain(&error)))?, request).await
    }
}

fn request(url: &Address, question: &Question) -> Result<Request<Body>, http::Error> {
    let uri = url.uri();
    let authority = uri.authority().map(|authority| authority.as_str()).unwrap_or_default();
    let request = Request::builder()
        .header(header::HOST, authority)
        .header(header::USER_AGENT, concat!("lockmaster/", env!("CARGO_PKG_VERSION")))
        .header(header::ACCEPT, "application/json")
        .header(header::CONNECTION, "close");
    match question {
        Question::Get => {
            let target = uri.path_and_query().map_or("/", |target| target.as_str());
            request.method(Method::GET).uri(target).body(Body::empty())
        }
        Question::Form { below, form } => {
            let target = format!("{}{below}", uri.path().trim_end_matches('/'));
            let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
            request.method(Method::POST).uri(target).body(Body::from(form.clone()))
        }
    }
}

async fn send(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Body>,
) -> Result<(u16, Vec<u8>), String> {
    let broken = |error: hyper::Error| format!("no answer: {}", chain(&error));
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    // It ends with this function, also where the time is up.
    let _carried = AbortOnDropHandle::new(tokio::spawn(connection));
    let (parts, body) = sender.send_request(request).await.map_err(broken)?.into_parts();
    let mut read = Vec::new();
    let mut chunks = Body::new(body).into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| format!("the answer broke off: {}", chain(&error)))?;
        if read.len() + chunk.len() > BODY_LIMIT {
            return Err(format!("the answer is larger than {BODY_LIMIT} bytes"));
        }
        read.extend_from_slice(&chunk);
    }
    Ok((parts.status.as_u16(), read))
}

/// A text as the value of a form's field (WHATWG URL, "application/x-www-form-urlencoded percent-encode set").
pub(super) fn form(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' ' => encoded.push('+'),
            b'*' | b'-' | b'.' | b'_' => encoded.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// An error and what caused it, in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let told = cause.to_string();
        if !text.contains(&told) {
            text = format!("{text}: {told}");
        }
        next = cause.source();
    }
    text.replace(['\n', '\r'], " ")
}
