//! A server that a check asks, with the answer that the test gives it.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::control_plane::ControlPlane;

/// See the module; it ends with the test.
pub(crate) struct Server {
    address: SocketAddr,
    answer: Arc<Mutex<String>>,
    asked: Arc<AtomicUsize>,
    stopped: Arc<std::sync::atomic::AtomicBool>,
}

impl Server {
    pub(crate) fn start(_: &'static ControlPlane, answer: &str) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("because loopback has ports");
        let address = listener.local_addr().expect("because it listens");
        let server = Server {
            address,
            answer: Arc::new(Mutex::new(answer.to_owned())),
            asked: Arc::default(),
            stopped: Arc::default(),
        };
        let (answer, asked, stopped) =
            (Arc::clone(&server.answer), Arc::clone(&server.asked), Arc::clone(&server.stopped));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(mut stream) = stream else { continue };
                asked.fetch_add(1, Ordering::SeqCst);
                let mut request = [0; 4096];
                let _ = stream.read(&mut request);
                let body = answer.lock().expect("because nobody panics").clone();
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
                let _ = stream.write_all(format!("{head}{body}").as_bytes());
            }
        });
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/health", self.address)
    }

    pub(crate) fn answer(&self, answer: &str) {
        answer.clone_into(&mut self.answer.lock().expect("because nobody panics"));
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // Wakes it, so that it sees that it is to stop.
        let _ = std::net::TcpStream::connect(self.address);
    }
}
