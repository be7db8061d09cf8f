//! The connections: plain, or TLS with a certificate that is made at the start and trusted by nobody else.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;

/// How long to wait when no connection can be accepted, for example because file descriptors ran out.
const ACCEPT_WAIT: Duration = Duration::from_millis(100);

/// An address that is served until the task ends.
pub(super) struct Served {
    pub(super) address: SocketAddr,
    /// The certificate, PEM; `None`: it is served without.
    pub(super) certificate: Option<String>,
    pub(super) task: AbortOnDropHandle<()>,
}

/// Binds the address and serves the routes.
///
/// # Errors
/// The address cannot be bound, or no certificate can be made.
pub(super) async fn serve(listen: SocketAddr, https: bool, routes: Router) -> std::io::Result<Served> {
    let listener = TcpListener::bind(listen).await?;
    let address = listener.local_addr()?;
    let (acceptor, certificate) = match https {
        false => (None, None),
        true => tls(address).map(|(acceptor, certificate)| (Some(acceptor), Some(certificate)))?,
    };
    let task = AbortOnDropHandle::new(tokio::spawn(accept(listener, acceptor, routes)));
    Ok(Served { address, certificate, task })
}

/// A certificate for the address alone; its key never leaves the process.
fn tls(address: SocketAddr) -> std::io::Result<(TlsAcceptor, String)> {
    let names = vec![address.ip().to_string(), "localhost".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).map_err(std::io::Error::other)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(std::io::Error::other)?.with_no_client_auth();
    let config = config.with_single_cert(vec![made.cert.der().clone()], key).map_err(std::io::Error::other)?;
    Ok((TlsAcceptor::from(Arc::new(config)), made.cert.pem()))
}

async fn accept(listener: TcpListener, acceptor: Option<TlsAcceptor>, routes: Router) {
    // Connections end with the set, and the set with this task.
    let mut connections = JoinSet::new();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(_) => {
                tokio::time::sleep(ACCEPT_WAIT).await;
                continue;
            }
        };
        while connections.try_join_next().is_some() {}
        // Small answers are not to wait for the next ones.
        drop(stream.set_nodelay(true));
        let (acceptor, routes) = (acceptor.clone(), routes.clone());
        connections.spawn(async move {
            match acceptor {
                None => attend(stream, routes).await,
                Some(acceptor) => {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        attend(stream, routes).await;
                    }
                }
            }
        });
    }
}

/// Serves one connection. What a client does wrong ends the connection, and concerns nobody else.
async fn attend(stream: impl AsyncRead + AsyncWrite + Unpin + Send, routes: Router) {
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
    drop(connection.await);
}
