//! A handler of HTTP requests that forks in the middle of its answer.
//!
//! The path is the name of the copy. If there is a query, it is the address of
//! what is asked for before, as in 127.0.0.1:8080/path, and the worker is forked
//! while that has not been read, in vain, and once it has. The request's body is
//! read behind the fork.

wit_bindgen::generate!({
    inline: "package waterbear:forker; world forker { import waterbear:durable/workers@0.1.0; }",
    path: "../../../../../wit/durable",
    generate_all,
});

use waterbear::durable::workers::{self, Side};
use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    Fields, IncomingBody, IncomingRequest, IncomingResponse, OutgoingBody, OutgoingRequest, OutgoingResponse, ResponseOutparam, Scheme,
};
use wasip2::io::streams::OutputStream;

struct Handler;

wasip2::http::proxy::export!(Handler);

impl Guest for Handler {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let target = request.path_with_query().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let name = path.trim_start_matches('/');
        let response = OutgoingResponse::new(Fields::new());
        let body = response.body().expect("a body is there once");
        ResponseOutparam::set(out, Ok(response));
        let to = body.write().expect("a stream is there once");
        say(&to, "before\n");
        if !query.is_empty() {
            let response = fetch(query);
            say(&to, &fork(name));
            drop(response);
        }
        say(&to, &fork(name));
        let received = request.consume().expect("a body is there once");
        say(&to, &format!("{} bytes\n", read(&received)));
        drop(to);
        OutgoingBody::finish(body, None).expect("as long as it says");
    }
}

fn say(to: &OutputStream, text: &str) {
    to.blocking_write_and_flush(text.as_bytes()).expect("somebody reads it");
}

fn fork(name: &str) -> String {
    match workers::fork(name) {
        Ok(Side::Original(copy)) => format!("original of {copy}\n"),
        Ok(Side::Forked(me)) => format!("forked as {me}\n"),
        Err(e) => format!("{:?}: {}\n", e.kind, e.message),
    }
}

fn read(body: &IncomingBody) -> usize {
    let stream = body.stream().expect("a stream is there once");
    let mut all = 0;
    while let Ok(piece) = stream.blocking_read(4096) {
        all += piece.len();
    }
    all
}

fn fetch(address: &str) -> IncomingResponse {
    let (authority, path) = address.split_once('/').unwrap_or((address, ""));
    let request = OutgoingRequest::new(Fields::new());
    request.set_scheme(Some(&Scheme::Http)).expect("a scheme");
    request.set_authority(Some(authority)).expect("an authority");
    request.set_path_with_query(Some(&format!("/{path}"))).expect("a path");
    let response = outgoing_handler::handle(request, None).expect("it may be sent");
    response.subscribe().block();
    response.get().expect("it is there").expect("it is there once").expect("it is answered")
}
