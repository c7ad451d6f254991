//! A command that sends numbered messages by POST, one after the other, and
//! prints what comes back: courier URL [COUNT] [PAUSE, in milliseconds].

use std::{thread::sleep, time::Duration};

use wasip2::http::outgoing_handler;
use wasip2::http::types::{Fields, IncomingResponse, Method, OutgoingBody, OutgoingRequest, Scheme};
use wasip2::io::streams::StreamError;

fn send(scheme: &Scheme, authority: &str, path: &str, text: &str) -> Result<String, String> {
    let request = OutgoingRequest::new(Fields::new());
    request.set_method(&Method::Post).unwrap();
    request.set_scheme(Some(scheme)).unwrap();
    request.set_authority(Some(authority)).map_err(|()| "the host is none")?;
    request.set_path_with_query(Some(path)).map_err(|()| "the path is none")?;
    let body = request.body().unwrap();
    let future = outgoing_handler::handle(request, None).map_err(|e| format!("{e:?}"))?;
    let stream = body.write().unwrap();
    stream.blocking_write_and_flush(text.as_bytes()).map_err(|e| format!("{e:?}"))?;
    drop(stream);
    OutgoingBody::finish(body, None).map_err(|e| format!("{e:?}"))?;
    future.subscribe().block();
    let response = future.get().unwrap().unwrap().map_err(|e| format!("{e:?}"))?;
    Ok(format!("status {}: {}", response.status(), read(&response)?))
}

fn read(response: &IncomingResponse) -> Result<String, String> {
    let body = response.consume().unwrap();
    let stream = body.stream().unwrap();
    let mut all = vec![];
    loop {
        match stream.blocking_read(64 << 10) {
            Ok(p) => all.extend(p),
            Err(StreamError::Closed) => return Ok(String::from_utf8_lossy(&all).trim().to_string()),
            Err(StreamError::LastOperationFailed(e)) => return Err(e.to_debug_string()),
        }
    }
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let number = |i: usize, or: u64| args.get(i).and_then(|a| a.parse().ok()).unwrap_or(or);
    let url = args.get(1).expect("usage: courier URL [COUNT] [PAUSE]");
    let (scheme, rest) = url.split_once("://").expect("the URL has no scheme");
    let scheme = if scheme == "http" { Scheme::Http } else { Scheme::Https };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let path = if path.is_empty() { "/" } else { path };
    for i in 1..=number(2, 10) {
        match send(&scheme, authority, path, &format!("message {i}")) {
            Ok(answer) => println!("message {i}: {answer}"),
            Err(why) => {
                println!("message {i}: {why}");
                std::process::exit(1);
            }
        }
        sleep(Duration::from_millis(number(3, 500)));
    }
}
