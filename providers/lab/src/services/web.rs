//! A stand-in for nginx: files of a folder, over HTTP.

use std::convert::Infallible;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, SERVER};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::ServiceError;
use super::blocks::{self, Directive};

/// What is served.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Config {
    sites: Vec<Site>,
}

#[derive(Debug, PartialEq, Eq)]
struct Site {
    listen: Vec<String>,
    root: PathBuf,
    index: Vec<String>,
}

impl Config {
    /// The sites of `conf.d/*.conf` and `sites-enabled/*`, in the order of their names.
    pub(super) fn read(folder: &Path) -> Result<Self, ServiceError> {
        let mut config = Self::default();
        for (part, ends_with) in [("conf.d", ".conf"), ("sites-enabled", "")] {
            let entries = std::fs::read_dir(folder.join(part)).into_iter().flatten();
            let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
            files.sort();
            for file in files {
                let name = file.display().to_string();
                if !name.ends_with(ends_with) {
                    continue;
                }
                let text = std::fs::read_to_string(&file).map_err(|error| ServiceError::Read {
                    path: name.clone(),
                    error,
                })?;
                config.sites.extend(sites(&name, &text)?);
            }
        }
        Ok(config)
    }
}

fn sites(path: &str, text: &str) -> Result<Vec<Site>, ServiceError> {
    let parsed = blocks::parse(path, text)?;
    parsed
        .iter()
        .map(|directive| site(path, directive))
        .collect()
}

fn site(path: &str, directive: &Directive) -> Result<Site, ServiceError> {
    let wrong = |line: usize, why: String| ServiceError::Line {
        path: path.to_owned(),
        line,
        why,
    };
    let not_known = |directive: &Directive| {
        let words = directive.words.join(" ");
        let why = format!("this stand-in of nginx does not know `{words}`");
        wrong(directive.line, why)
    };
    let block = match (directive.words.as_slice(), &directive.block) {
        ([name], Some(block)) if name == "server" => block,
        _ => return Err(not_known(directive)),
    };
    let mut site = Site {
        listen: Vec::new(),
        root: PathBuf::from("/var/www/html"),
        index: Vec::new(),
    };
    for inner in block {
        let words: Vec<&str> = inner.words.iter().map(String::as_str).collect();
        match (words.as_slice(), &inner.block) {
            (["listen", address], None) | (["listen", address, "default_server"], None) => {
                let address = listen(address).ok_or_else(|| {
                    wrong(
                        inner.line,
                        format!("`{address}` is neither a port nor an address with one"),
                    )
                })?;
                site.listen.push(address);
            }
            (["root", root], None) => site.root = PathBuf::from(root),
            (["index", names @ ..], None) => {
                site.index = names.iter().map(|name| (*name).to_owned()).collect();
            }
            (["server_name" | "access_log" | "error_log", ..], None) => {}
            (["location", "/"], Some(block)) if block.iter().all(is_plain_lookup) => {}
            _ => return Err(not_known(inner)),
        }
    }
    if site.index.is_empty() {
        site.index.push("index.html".into());
    }
    match site.listen.is_empty() {
        true => Err(wrong(
            directive.line,
            "a server that listens at no port".into(),
        )),
        false => Ok(site),
    }
}

/// `try_files $uri $uri/ =404`: what it does anyway.
fn is_plain_lookup(directive: &Directive) -> bool {
    directive.block.is_none() && directive.words == ["try_files", "$uri", "$uri/", "=404"]
}

fn listen(text: &str) -> Option<String> {
    let address = match text.parse::<u16>() {
        Ok(port) => format!("0.0.0.0:{port}"),
        Err(_) => text.to_owned(),
    };
    let parsed: std::net::SocketAddr = address.parse().ok()?;
    Some(parsed.to_string())
}

/// Listens and serves.
pub(super) async fn start(
    config: Arc<Config>,
    tasks: &mut JoinSet<()>,
) -> Result<(), ServiceError> {
    for position in 0..config.sites.len() {
        for address in &config.sites[position].listen {
            let config = Arc::clone(&config);
            super::listen(address, tasks, move |connection| {
                serve(connection, Arc::clone(&config), position)
            })
            .await?;
        }
    }
    Ok(())
}

async fn serve(connection: TcpStream, config: Arc<Config>, position: usize) {
    let serve = service_fn(|request| {
        let answer = answer(&config.sites[position], &request);
        std::future::ready(Ok::<_, Infallible>(answer))
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(30));
    // A client that goes away is no error of ours.
    drop(http.serve_connection(TokioIo::new(connection), serve).await);
}

fn answer(site: &Site, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let (status, kind, body) = match *request.method() {
        Method::GET | Method::HEAD => match find(site, request.uri().path()) {
            Some((kind, body)) => (StatusCode::OK, kind, body),
            None => (StatusCode::NOT_FOUND, "text/plain", b"not found\n".to_vec()),
        },
        _ => (
            StatusCode::METHOD_NOT_ALLOWED,
            "text/plain",
            b"not allowed\n".to_vec(),
        ),
    };
    let length = body.len();
    let body = match *request.method() {
        Method::HEAD => Bytes::new(),
        _ => Bytes::from(body),
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(
        SERVER,
        HeaderValue::from_static("dmp-lab-stand-in-for-nginx"),
    );
    response
}

/// The file at a path below the site's folder, or its index, with its kind.
fn find(site: &Site, path: &str) -> Option<(&'static str, Vec<u8>)> {
    let relative = Path::new(path.trim_start_matches('/'));
    let is_below = relative
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    if !is_below || path.contains('%') {
        return None;
    }
    let here = site.root.join(relative);
    let candidates = match here.is_dir() {
        true => site.index.iter().map(|name| here.join(name)).collect(),
        false => vec![here],
    };
    let file = candidates.into_iter().find(|file| file.is_file())?;
    let kind = match file.extension().and_then(|extension| extension.to_str()) {
        Some("html") => "text/html",
        Some("css") => "text/css",
        Some("json") => "application/json",
        Some("txt") | None => "text/plain",
        Some(_) => "application/octet-stream",
    };
    Some((kind, std::fs::read(file).ok()?))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn files_are_served_and_nothing_outside_of_their_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let www = folder.path().join("www");
        std::fs::create_dir_all(folder.path().join("sites-enabled")).expect("a folder");
        std::fs::create_dir(&www).expect("a folder");
        std::fs::write(www.join("index.html"), "hello\n").expect("writes");
        std::fs::write(folder.path().join("secret"), "no\n").expect("writes");
        let free = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = free.local_addr().expect("bound").port();
        drop(free);
        let text = format!(
            "server {{\n  listen 127.0.0.1:{port};\n  root {};\n  location / {{ try_files $uri $uri/ =404; }}\n}}\n",
            www.display()
        );
        std::fs::write(folder.path().join("sites-enabled/site"), text).expect("writes");
        let config = Config::read(folder.path()).expect("is understood");
        let mut tasks = JoinSet::new();
        start(Arc::new(config), &mut tasks).await.expect("listens");
        let ask = |request: &'static str| async move {
            let mut connection = TcpStream::connect(("127.0.0.1", port))
                .await
                .expect("answers");
            let request = format!("{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
            connection
                .write_all(request.as_bytes())
                .await
                .expect("sends");
            let mut text = String::new();
            connection.read_to_string(&mut text).await.expect("answers");
            text
        };
        let page = ask("GET /").await;
        assert!(
            page.starts_with("HTTP/1.1 200 OK\r\n") && page.ends_with("\r\n\r\nhello\n"),
            "{page}"
        );
        let head = ask("HEAD /index.html").await;
        assert!(
            head.contains("content-length: 6") && head.ends_with("\r\n\r\n"),
            "{head}"
        );
        for outside in [
            "GET /../secret",
            "GET /%2e%2e/secret",
            "GET /nothing",
            "GET //etc/passwd",
        ] {
            let answer = ask(outside).await;
            assert!(answer.starts_with("HTTP/1.1 404"), "{outside}: {answer}");
        }
        assert!(ask("POST /").await.starts_with("HTTP/1.1 405"));
    }

    #[test]
    fn what_the_stand_in_does_not_know_is_refused_with_its_line() {
        let said = |text: &str| sites("site", text).expect_err("is wrong").to_string();
        assert_eq!(
            said("server {\n  listen 80;\n  proxy_pass http://x;\n}\n"),
            "site:3: this stand-in of nginx does not know `proxy_pass http://x`"
        );
        assert_eq!(
            said("server { root /x; }"),
            "site:1: a server that listens at no port"
        );
        assert_eq!(
            said("server { listen http; }"),
            "site:1: `http` is neither a port nor an address with one"
        );
    }
}
