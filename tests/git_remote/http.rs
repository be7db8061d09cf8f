//! A web server on loopback that runs the real `git http-backend`, and misbehaves when told to.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::git_support::Scene;

/// What the server does.
#[derive(Default)]
pub(crate) struct Manners {
    /// User and password it asks for.
    pub(crate) login: Option<(&'static str, &'static str)>,
    /// A status it answers everything with.
    pub(crate) status: Option<&'static str>,
    /// Where it redirects everything to.
    pub(crate) redirect: Option<String>,
    /// After how many bytes of a pack it closes the connection; `usize::MAX`: never.
    pub(crate) cut: AtomicUsize,
    /// Whether it changes bytes inside packs.
    pub(crate) flip: AtomicBool,
    /// Certificate chain and key in PEM, for HTTPS.
    pub(crate) identity: Option<(String, String)>,
}

/// Method and path of each request, and its `Authorization` header.
type Log = Arc<Mutex<Vec<(String, Option<String>)>>>;

/// The running server; it ends with its owner.
pub(crate) struct Server {
    address: SocketAddr,
    scheme: &'static str,
    pub(crate) manners: Arc<Manners>,
    requests: Log,
    ended: Arc<AtomicBool>,
}

impl Server {
    /// Serves the scene's folder.
    pub(crate) fn start(scene: &Scene, manners: Manners) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("because loopback has a free port");
        let address = listener.local_addr().expect("because it is bound");
        let tls = manners.identity.as_ref().map(|(chain, key)| tls_config(chain, key));
        let scheme = if tls.is_some() { "https" } else { "http" };
        let manners = Arc::new(manners);
        let requests = Arc::new(Mutex::new(Vec::new()));
        let ended = Arc::new(AtomicBool::new(false));
        let (root, home) = (scene.root().to_owned(), scene.root().join("home"));
        let (shared, log, end) = (manners.clone(), requests.clone(), ended.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if end.load(Ordering::SeqCst) {
                    return;
                }
                let visit = Visit { root: root.clone(), home: home.clone(), manners: shared.clone(), log: log.clone() };
                let (Ok(stream), tls) = (stream, tls.clone()) else { continue };
                std::thread::spawn(move || visit.serve(stream, tls).ok());
            }
        });
        Server { address, scheme, manners, requests, ended }
    }

    /// The url of the clone's repository.
    pub(crate) fn url(&self) -> String {
        format!("{}://127.0.0.1:{}/work/.git", self.scheme, self.address.port())
    }

    /// The requests so far.
    pub(crate) fn requests(&self) -> Vec<(String, Option<String>)> {
        self.requests.lock().expect("because no visit panics while it writes").clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        TcpStream::connect(self.address).ok();
    }
}

fn tls_config(chain: &str, key: &str) -> Arc<rustls::ServerConfig> {
    let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<Vec<_>, _>>();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("because rcgen writes PEM");
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("because ring speaks TLS 1.3")
        .with_no_client_auth()
        .with_single_cert(chain.expect("because rcgen writes PEM"), key);
    Arc::new(config.expect("because certificate and key belong together"))
}

struct Visit {
    root: PathBuf,
    home: PathBuf,
    manners: Arc<Manners>,
    log: Log,
}

struct Request {
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

trait Stream: Read + Write {}

impl<T: Read + Write> Stream for T {}

impl Visit {
    /// One request for each connection.
    fn serve(&self, stream: TcpStream, tls: Option<Arc<rustls::ServerConfig>>) -> std::io::Result<()> {
        let mut stream: Box<dyn Stream> = match tls {
            Some(config) => {
                let connection = rustls::ServerConnection::new(config).map_err(std::io::Error::other)?;
                Box::new(rustls::StreamOwned::new(connection, stream))
            }
            None => Box::new(stream),
        };
        let request = read_request(&mut stream)?;
        let authorization = request.header("authorization").map(str::to_owned);
        let line = format!("{} {}", request.method, request.path);
        self.log.lock().expect("because no visit panics while it writes").push((line, authorization));
        let (head, body) = self.answer(&request)?;
        let head = format!("HTTP/1.1 {head}Connection: close\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes())?;
        let is_pack = request.path.ends_with("/git-upload-pack");
        let sent = if is_pack { self.manners.cut.load(Ordering::SeqCst).min(body.len()) } else { body.len() };
        stream.write_all(&body[..sent])?;
        stream.flush()
    }

    fn answer(&self, request: &Request) -> std::io::Result<(String, Vec<u8>)> {
        if let Some(target) = &self.manners.redirect {
            return Ok((format!("302 Found\r\nLocation: {target}{}?{}\r\n", request.path, request.query), Vec::new()));
        }
        if let Some(status) = self.manners.status {
            return Ok((format!("{status}\r\n"), Vec::new()));
        }
        if let Some((user, password)) = self.manners.login {
            let expected = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
            if request.header("authorization") != Some(&format!("Basic {expected}")) {
                return Ok(("401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"git\"\r\n".to_owned(), Vec::new()));
            }
        }
        self.run_backend(request)
    }

    fn run_backend(&self, request: &Request) -> std::io::Result<(String, Vec<u8>)> {
        let mut child = Command::new("git")
            .arg("http-backend")
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", &self.home)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_PROJECT_ROOT", &self.root)
            .env("GIT_HTTP_EXPORT_ALL", "1")
            .env("REQUEST_METHOD", &request.method)
            .env("PATH_INFO", &request.path)
            .env("QUERY_STRING", &request.query)
            .env("CONTENT_TYPE", request.header("content-type").unwrap_or_default())
            .env("CONTENT_LENGTH", request.body.len().to_string())
            .env("REMOTE_ADDR", "127.0.0.1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        child.stdin.take().expect("because it is piped").write_all(&request.body)?;
        let output = child.wait_with_output()?.stdout;
        let end = output.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(output.len());
        let head = String::from_utf8_lossy(&output[..end]).into_owned();
        let mut body = output.get(end + 4..).unwrap_or_default().to_vec();
        if self.manners.flip.load(Ordering::SeqCst) && request.path.ends_with("/git-upload-pack") {
            // Behind the pack's 12 bytes of head, in its first object: what follows the pack in the body, such as
            // progress, comes or does not come.
            if let Some(pack) = body.windows(4).position(|window| window == b"PACK") {
                body[pack + 20] ^= 0x55;
            }
        }
        let status = head.lines().find_map(|line| line.strip_prefix("Status: ")).unwrap_or("200 OK").to_owned();
        let others: String =
            head.lines().filter(|line| !line.starts_with("Status: ")).map(|line| format!("{line}\r\n")).collect();
        Ok((format!("{status}\r\n{others}"), body))
    }
}

fn read_request(stream: &mut impl Read) -> std::io::Result<Request> {
    let head = read_until(stream, b"\r\n\r\n")?;
    let mut lines = head.lines();
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (method, target) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let header = |line: &str| line.split_once(':').map(|(key, value)| (key.to_owned(), value.trim().to_owned()));
    let (path, query) = (path.to_owned(), query.to_owned());
    let headers = lines.filter_map(header).collect();
    let mut request = Request { method, path, query, headers, body: Vec::new() };
    if request.header("transfer-encoding") == Some("chunked") {
        loop {
            let size = read_until(stream, b"\r\n")?;
            let size = usize::from_str_radix(size.trim(), 16).map_err(std::io::Error::other)?;
            let mut chunk = vec![0; size + 2];
            stream.read_exact(&mut chunk)?;
            if size == 0 {
                return Ok(request);
            }
            request.body.extend_from_slice(&chunk[..size]);
        }
    }
    let length = request.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    request.body = vec![0; length];
    stream.read_exact(&mut request.body)?;
    Ok(request)
}

fn read_until(stream: &mut impl Read, end: &[u8]) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end) {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        bytes.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
