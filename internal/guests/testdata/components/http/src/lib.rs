//! A handler of WASI's HTTP requests.
//!
//!     any  /          the number of the request, its method and its query
//!     any  /echo      the body, piece by piece as it comes, with its type
//!     any  /fetch     what is at the plain HTTP address that the body is, as in
//!                     127.0.0.1:8080/path; 502 and the reason if nothing is
//!     any  /trap      traps
//!     any  /fields    the fields of the request, a line each, and its trailers
//!     any  /long?N    N bytes, none of which is like its neighbours
//!     any  /ticks?N,P a server-sent event each P milliseconds, N of them
//!     any  /late?T    the time, or a trap before that of T milliseconds since 1970
//!     any  /flaky?T   the same, behind a line that is there in any case
//!     any  /refuse    no response, but an error
//!     any  /silent    nothing at all
//!
//! Everything else is not found.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use wasip2::exports::http::incoming_handler::Guest;
use wasip2::clocks::{monotonic_clock, wall_clock};
use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    ErrorCode, Fields, IncomingBody, IncomingRequest, IncomingResponse, Method, OutgoingBody, OutgoingRequest, OutgoingResponse,
    ResponseOutparam, Scheme,
};
use wasip2::io::streams::{InputStream, StreamError};

struct Handler;

wasip2::http::proxy::export!(Handler);

static REQUESTS: AtomicU64 = AtomicU64::new(0);

/// How much of a body is taken at once; no write may have more than 4096 bytes.
const PIECE: u64 = 4096;

impl Guest for Handler {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let number = REQUESTS.fetch_add(1, Relaxed) + 1;
        let target = request.path_with_query().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        match path {
            "/" => {
                let method = method(&request.method());
                respond(out, 200, "text/plain", |body| {
                    write(body, format!("request {number}: {method} {query}\n").as_bytes())
                });
            }
            "/echo" => {
                let kind = request.headers().get("content-type").pop().unwrap_or_default();
                let kind = String::from_utf8_lossy(&kind).into_owned();
                let body = request.consume().expect("a body is there once");
                respond(out, 200, &kind, |to| copy(body, to));
            }
            "/fetch" => match fetch(request) {
                Ok(found) => {
                    let body = found.consume().expect("a body is there once");
                    respond(out, found.status(), "text/plain", |to| copy(body, to));
                }
                Err(why) => respond(out, 502, "text/plain", |to| write(to, why.as_bytes())),
            },
            "/trap" => panic!("as it was told"),
            "/fields" => fields(request, out),
            "/long" => respond(out, 200, "text/plain", |to| long(to, query.parse().expect("a number"))),
            "/ticks" => {
                let (count, pause) = query.split_once(',').expect("two numbers");
                let (count, pause): (u32, u64) = (count.parse().expect("a number"), pause.parse().expect("a number"));
                respond(out, 200, "text/event-stream", |to| ticks(to, count, pause));
            }
            "/late" => {
                wait_for(query);
                respond(out, 200, "text/plain", |to| write(to, b"in time\n"));
            }
            "/flaky" => respond(out, 200, "text/plain", |to| {
                let stream = to.write().expect("a stream is there once");
                stream.blocking_write_and_flush(b"in any case\n")?;
                wait_for(query);
                stream.blocking_write_and_flush(b"in time\n")
            }),
            "/refuse" => ResponseOutparam::set(out, Err(ErrorCode::InternalError(Some("a secret".into())))),
            "/silent" => {}
            _ => respond(out, 404, "text/plain", |to| write(to, b"not found\n")),
        }
    }
}

fn method(method: &Method) -> String {
    match method {
        Method::Other(name) => name.clone(),
        known => format!("{known:?}").trim_start_matches("Method::").to_uppercase(),
    }
}

/// Sends the head of a response, lets `send` write its body, and ends it. A
/// client that has gone away ends it early.
fn respond(out: ResponseOutparam, status: u16, kind: &str, send: impl FnOnce(&OutgoingBody) -> Result<(), StreamError>) {
    let headers = Fields::new();
    if !kind.is_empty() {
        headers.append("content-type", kind.as_bytes()).expect("a valid header");
    }
    let response = OutgoingResponse::new(headers);
    response.set_status_code(status).expect("a valid status");
    let body = response.body().expect("a body is there once");
    ResponseOutparam::set(out, Ok(response));
    match send(&body) {
        Ok(()) => OutgoingBody::finish(body, None).expect("as long as it says"),
        Err(_) => drop(body),
    }
}

/// Traps unless it is late enough.
fn wait_for(milliseconds: &str) {
    let now = wall_clock::now();
    let now = now.seconds * 1000 + u64::from(now.nanoseconds) / 1_000_000;
    assert!(now >= milliseconds.parse().expect("a number"), "it is too early");
}

fn fields(request: IncomingRequest, out: ResponseOutparam) {
    let mut text = String::new();
    let add = |text: &mut String, list: Vec<(String, Vec<u8>)>| {
        for (name, value) in list {
            *text += &format!("{name}: {}\n", String::from_utf8_lossy(&value));
        }
    };
    text += &format!("method: {}\nauthority: {}\n", method(&request.method()), request.authority().unwrap_or_default());
    add(&mut text, request.headers().entries());
    let body = request.consume().expect("a body is there once");
    {
        let stream = body.stream().expect("a stream is there once");
        while let Ok(Some(_)) = piece(&stream) {}
    }
    let trailers = IncomingBody::finish(body);
    trailers.subscribe().block();
    if let Some(Ok(Ok(Some(list)))) = trailers.get() {
        add(&mut text, list.entries());
    }
    respond(out, 200, "text/plain", |to| write(to, text.as_bytes()));
}

fn long(to: &OutgoingBody, size: usize) -> Result<(), StreamError> {
    let stream = to.write().expect("a stream is there once");
    let mut bytes = Vec::new();
    let (mut sent, mut number) = (0, 0u64);
    while sent < size {
        bytes.clear();
        while bytes.len() < PIECE as usize {
            bytes.extend_from_slice(format!("{number},").as_bytes());
            number += 1;
        }
        bytes.truncate((PIECE as usize).min(size - sent));
        stream.blocking_write_and_flush(&bytes)?;
        sent += bytes.len();
    }
    Ok(())
}

fn ticks(to: &OutgoingBody, count: u32, pause: u64) -> Result<(), StreamError> {
    let stream = to.write().expect("a stream is there once");
    for i in 0..count {
        if i > 0 {
            monotonic_clock::subscribe_duration(pause * 1_000_000).block();
        }
        stream.blocking_write_and_flush(format!("id: {i}\ndata: tick\n\n").as_bytes())?;
    }
    Ok(())
}

fn write(body: &OutgoingBody, bytes: &[u8]) -> Result<(), StreamError> {
    let stream = body.write().expect("a stream is there once");
    bytes.chunks(PIECE as usize).try_for_each(|piece| stream.blocking_write_and_flush(piece))
}

/// The next piece of a body, or none at its end.
fn piece(from: &InputStream) -> Result<Option<Vec<u8>>, StreamError> {
    match from.blocking_read(PIECE) {
        Ok(piece) => Ok(Some(piece)),
        Err(StreamError::Closed) => Ok(None),
        Err(why) => Err(why),
    }
}

fn copy(from: IncomingBody, to: &OutgoingBody) -> Result<(), StreamError> {
    let (input, output) = (from.stream().expect("a stream is there once"), to.write().expect("and here"));
    while let Some(piece) = piece(&input)? {
        output.blocking_write_and_flush(&piece)?;
    }
    Ok(())
}

fn fetch(request: IncomingRequest) -> Result<IncomingResponse, String> {
    let body = request.consume().expect("a body is there once");
    let input = body.stream().expect("a stream is there once");
    let mut address = Vec::new();
    while let Some(piece) = piece(&input).map_err(|why| why.to_string())? {
        address.extend(piece);
    }
    let address = String::from_utf8(address).map_err(|why| why.to_string())?;
    let (authority, path) = address.trim().split_once('/').unwrap_or((address.trim(), ""));

    let request = OutgoingRequest::new(Fields::new());
    request.set_scheme(Some(&Scheme::Http)).map_err(|()| "bad scheme")?;
    request.set_authority(Some(authority)).map_err(|()| "bad authority")?;
    request.set_path_with_query(Some(&format!("/{path}"))).map_err(|()| "bad path")?;
    let response = outgoing_handler::handle(request, None).map_err(|why| why.to_string())?;
    response.subscribe().block();
    let response = response.get().expect("it is there").expect("it is there once");
    response.map_err(|why| why.to_string())
}
