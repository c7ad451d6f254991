//! A chat room: what is said is kept in a variable, and nowhere else.
//!
//!     POST   /messages        says what the body is, and gives its number
//!     GET    /messages        all that was said, a line each
//!     GET    /events          the same as server-sent events, from the one behind
//!                             Last-Event-ID on; then the client is to come back
//!     GET    /countdown?N     N server-sent events, one each second
//!     DELETE /messages        forgets everything
//!
//! A browser shows the room at /.

use std::cell::RefCell;

use wasip2::clocks::monotonic_clock;
use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{
    Fields, IncomingRequest, Method, OutgoingBody, OutgoingResponse, ResponseOutparam,
};
use wasip2::io::streams::{OutputStream, StreamError};

struct Chat;

wasip2::http::proxy::export!(Chat);

thread_local! {
    static SAID: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

const SECOND: u64 = 1_000_000_000;

/// The longest message, in bytes.
const LONGEST: usize = 4096;

impl Guest for Chat {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let target = request.path_with_query().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        match (request.method(), path) {
            (Method::Get, "/") => respond(out, 200, "text/html; charset=utf-8", |to| {
                to.write(include_bytes!("room.html"))
            }),
            (Method::Get, "/messages") => respond(out, 200, "text/plain; charset=utf-8", |to| {
                SAID.with_borrow(|said| said.iter().try_for_each(|m| to.write(format!("{m}\n").as_bytes())))
            }),
            (Method::Post, "/messages") => match say(request) {
                Ok(number) => respond(out, 201, "text/plain", |to| to.write(format!("{number}\n").as_bytes())),
                Err(why) => respond(out, 400, "text/plain", |to| to.write(format!("{why}\n").as_bytes())),
            },
            (Method::Delete, "/messages") => {
                SAID.take();
                respond(out, 204, "", |_| Ok(()));
            }
            (Method::Get, "/events") => {
                let seen = last_event(&request);
                respond(out, 200, "text/event-stream", |to| events(to, seen));
            }
            (Method::Get, "/countdown") => {
                let from: u32 = query.parse().unwrap_or(10);
                respond(out, 200, "text/event-stream", |to| countdown(to, from));
            }
            _ => respond(out, 404, "text/plain", |to| to.write(b"there is nothing here\n")),
        }
    }
}

/// Adds the body to what was said, and gives its number.
fn say(request: IncomingRequest) -> Result<usize, String> {
    let body = request.consume().map_err(|()| "no body")?;
    let stream = body.stream().map_err(|()| "no stream")?;
    let mut text = Vec::new();
    loop {
        match stream.blocking_read(LONGEST as u64) {
            Ok(piece) => text.extend(piece),
            Err(StreamError::Closed) => break,
            Err(why) => return Err(why.to_string()),
        }
        if text.len() > LONGEST {
            return Err(format!("a message has at most {LONGEST} bytes"));
        }
    }
    let text = String::from_utf8(text).map_err(|_| "a message is text")?;
    let text = text.trim().replace(['\n', '\r'], " ");
    if text.is_empty() {
        return Err("say something".into());
    }
    Ok(SAID.with_borrow_mut(|said| {
        said.push(text);
        said.len()
    }))
}

/// The number of the last message that the client has seen.
fn last_event(request: &IncomingRequest) -> usize {
    let ids = request.headers().get("last-event-id");
    ids.first().and_then(|id| String::from_utf8_lossy(id).parse().ok()).unwrap_or(0)
}

/// Sends what the client has not seen. A worker does one thing at a time: it does
/// not wait for the next message, but asks the client to come back for it.
fn events(to: &Response, seen: usize) -> Result<(), StreamError> {
    to.write(b"retry: 1000\n\n")?;
    SAID.with_borrow(|said| {
        said.iter().enumerate().skip(seen).try_for_each(|(i, m)| {
            to.write(format!("id: {}\ndata: {m}\n\n", i + 1).as_bytes())
        })
    })
}

fn countdown(to: &Response, from: u32) -> Result<(), StreamError> {
    for n in (1..=from).rev() {
        to.write(format!("data: {n}\n\n").as_bytes())?;
        monotonic_clock::subscribe_duration(SECOND).block();
    }
    to.write(b"event: liftoff\ndata: 0\n\n")
}

/// The body of a response.
struct Response(OutputStream);

impl Response {
    /// Writes bytes, which leave at once. No write may have more than 4096.
    fn write(&self, bytes: &[u8]) -> Result<(), StreamError> {
        bytes.chunks(4096).try_for_each(|piece| self.0.blocking_write_and_flush(piece))
    }
}

/// Sends the head of a response, lets `send` write its body, and ends it.
fn respond(out: ResponseOutparam, status: u16, kind: &str, send: impl FnOnce(&Response) -> Result<(), StreamError>) {
    let headers = Fields::new();
    if !kind.is_empty() {
        headers.append("content-type", kind.as_bytes()).expect("a valid header");
    }
    let response = OutgoingResponse::new(headers);
    response.set_status_code(status).expect("a valid status");
    let body = response.body().expect("a body is there once");
    ResponseOutparam::set(out, Ok(response));
    let stream = Response(body.write().expect("a stream is there once"));
    let sent = send(&stream);
    drop(stream);
    if sent.is_ok() {
        OutgoingBody::finish(body, None).expect("it is whole");
    }
}
