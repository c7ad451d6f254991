//! A component that makes HTTP requests by wasi:http, with nothing between.

use std::cell::RefCell;

use wasip2::clocks::monotonic_clock;
use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, IncomingBody, IncomingResponse, Method, OutgoingBody,
    OutgoingRequest, RequestOptions, Scheme,
};
use wasip2::io::poll::poll;
use wasip2::io::streams::{InputStream, OutputStream, StreamError};

wit_bindgen::generate!({ path: "wit", world: "fetch" });

struct Component;

export!(Component);

/// Open is a body that the next call goes on reading.
struct Open {
    stream: InputStream,
    _body: IncomingBody,
    _response: IncomingResponse,
}

thread_local! {
    static WRITING: RefCell<Option<(OutputStream, OutgoingBody, FutureIncomingResponse)>> = const { RefCell::new(None) };
    static OPEN: RefCell<Option<Open>> = const { RefCell::new(None) };
}

const PIECE: u64 = 32 << 10;

fn simple(method: &str, url: &str, body: &str) -> Request {
    Request { method: method.into(), url: url.into(), headers: vec![], body: body.into() }
}

fn method(name: &str) -> Method {
    match name {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "OPTIONS" => Method::Options,
        "PATCH" => Method::Patch,
        other => Method::Other(other.into()),
    }
}

fn prepare(r: &Request) -> Result<OutgoingRequest, String> {
    let headers: Vec<(String, Vec<u8>)> =
        r.headers.iter().map(|(n, v)| (n.clone(), v.clone().into_bytes())).collect();
    let fields = Fields::from_list(&headers).map_err(|e| format!("{e:?}"))?;
    let out = OutgoingRequest::new(fields);
    let (scheme, rest) = r.url.split_once("://").ok_or("the URL has no scheme")?;
    let scheme = match scheme {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        other => Scheme::Other(other.into()),
    };
    let at = rest.find('/').unwrap_or(rest.len());
    let path = if at == rest.len() { "/" } else { &rest[at..] };
    out.set_method(&method(&r.method)).map_err(|()| "the method is refused")?;
    out.set_scheme(Some(&scheme)).map_err(|()| "the scheme is refused")?;
    out.set_authority(Some(&rest[..at])).map_err(|()| "the authority is refused")?;
    out.set_path_with_query(Some(path)).map_err(|()| "the path is refused")?;
    Ok(out)
}

fn show(e: ErrorCode) -> String {
    format!("{e:?}")
}

fn write(body: OutgoingBody, mut data: &[u8]) -> Result<(), String> {
    let stream = body.write().map_err(|()| "the body has no stream")?;
    while !data.is_empty() {
        let n = data.len().min(4096);
        stream.blocking_write_and_flush(&data[..n]).map_err(|e| format!("{e:?}"))?;
        data = &data[n..];
    }
    drop(stream);
    OutgoingBody::finish(body, None).map_err(show)
}

/// put writes as programs do that wait for more than one thing.
fn put(stream: &OutputStream, mut data: &[u8]) -> Result<(), StreamError> {
    while !data.is_empty() {
        let n = data.len().min(stream.check_write()? as usize);
        if n == 0 {
            stream.subscribe().block();
            continue;
        }
        stream.write(&data[..n])?;
        data = &data[n..];
    }
    Ok(())
}

fn start(r: &Request, timeouts: (u32, u32, u32)) -> Result<FutureIncomingResponse, String> {
    let out = prepare(r)?;
    let body = if r.body.is_empty() { None } else { Some(out.body().map_err(|()| "there is no body")?) };
    let options = RequestOptions::new();
    let span = |ms: u32| if ms == 0 { None } else { Some(ms as u64 * 1_000_000) };
    options.set_connect_timeout(span(timeouts.0)).unwrap();
    options.set_first_byte_timeout(span(timeouts.1)).unwrap();
    options.set_between_bytes_timeout(span(timeouts.2)).unwrap();
    let future = outgoing_handler::handle(out, Some(options)).map_err(show)?;
    if let Some(body) = body {
        write(body, r.body.as_bytes())?;
    }
    Ok(future)
}

fn wait(future: FutureIncomingResponse) -> Result<IncomingResponse, String> {
    future.subscribe().block();
    future.get().expect("it is ready").expect("it was not taken").map_err(show)
}

fn pairs(fields: &Fields) -> Vec<(String, String)> {
    fields.entries().into_iter().map(|(n, v)| (n, String::from_utf8_lossy(&v).into_owned())).collect()
}

/// piece gives what is there of a body, or None at its end.
fn piece(stream: &InputStream, most: u64) -> Result<Option<Vec<u8>>, String> {
    match stream.blocking_read(most) {
        Ok(p) => Ok(Some(p)),
        Err(StreamError::Closed) => Ok(None),
        Err(StreamError::LastOperationFailed(e)) => {
            match wasip2::http::types::http_error_code(&e) {
                Some(code) => Err(show(code)),
                None => Err(e.to_debug_string()),
            }
        }
    }
}

fn finish(response: IncomingResponse) -> Result<Answer, String> {
    let body = response.consume().map_err(|()| "there is no body")?;
    let stream = body.stream().map_err(|()| "the body has no stream")?;
    let mut all = vec![];
    while let Some(p) = piece(&stream, PIECE)? {
        all.extend(p);
    }
    drop(stream);
    let future = IncomingBody::finish(body);
    future.subscribe().block();
    let trailers = future.get().expect("they are ready").expect("they were not taken").map_err(show)?;
    Ok(Answer {
        status: response.status(),
        headers: pairs(&response.headers()),
        body: String::from_utf8_lossy(&all).into_owned(),
        trailers: trailers.map(|t| pairs(&t)).unwrap_or_default(),
    })
}

fn answer(r: &Request, timeouts: (u32, u32, u32)) -> Result<Answer, String> {
    finish(wait(start(r, timeouts)?)?)
}

fn body(a: Answer) -> Result<String, String> {
    if a.status == 200 { Ok(a.body) } else { Err(format!("status {}", a.status)) }
}

impl Guest for Component {
    fn get(url: String) -> Result<String, String> {
        body(answer(&simple("GET", &url, ""), (0, 0, 0))?)
    }

    fn post(url: String, content: String) -> Result<String, String> {
        body(answer(&simple("POST", &url, &content), (0, 0, 0))?)
    }

    fn send(request: Request, timeouts: (u32, u32, u32)) -> Result<Answer, String> {
        answer(&request, timeouts)
    }

    fn all(requests: Vec<Request>) -> Vec<Result<Answer, String>> {
        let mut waiting = vec![];
        let mut answers: Vec<Option<Result<Answer, String>>> = vec![];
        for (i, r) in requests.iter().enumerate() {
            answers.push(None);
            match start(r, (0, 0, 0)) {
                Ok(f) => waiting.push((i, f)),
                Err(e) => answers[i] = Some(Err(e)),
            }
        }
        while !waiting.is_empty() {
            let pollables: Vec<_> = waiting.iter().map(|(_, f)| f.subscribe()).collect();
            let ready = poll(&pollables.iter().collect::<Vec<_>>());
            drop(pollables);
            for at in ready.into_iter().rev() {
                let (i, f) = waiting.remove(at as usize);
                answers[i] = Some(wait(f).and_then(finish));
            }
        }
        answers.into_iter().map(|a| a.expect("all have come")).collect()
    }

    fn download(url: String) -> Result<(u64, u64), String> {
        let response = wait(start(&simple("GET", &url, ""), (0, 0, 0))?)?;
        let body = response.consume().map_err(|()| "there is no body")?;
        let stream = body.stream().map_err(|()| "the body has no stream")?;
        let (mut n, mut sum) = (0u64, 0u64);
        while let Some(p) = piece(&stream, PIECE)? {
            n += p.len() as u64;
            sum = p.iter().fold(sum, |s, &b| s.wrapping_mul(31).wrapping_add(b as u64));
        }
        Ok((n, sum))
    }

    fn upload(url: String, size: u32) -> Result<String, String> {
        let content: String = (0..size).map(|i| (b'a' + (i % 26) as u8) as char).collect();
        body(answer(&simple("PUT", &url, &content), (0, 0, 0))?)
    }

    fn stream(
        request: Request, size: u64, piece: u32, pause: u32, trailers: Vec<(String, String)>,
    ) -> Result<Answer, String> {
        let out = prepare(&request)?;
        let body = out.body().map_err(|()| "there is no body")?;
        let future = outgoing_handler::handle(out, None).map_err(show)?;
        let stream = body.write().map_err(|()| "the body has no stream")?;
        let mut sent = 0u64;
        while sent < size {
            let n = (size - sent).min(piece as u64);
            let p: Vec<u8> = (sent..sent + n).map(|i| b'a' + (i % 26) as u8).collect();
            if put(&stream, &p).is_err() {
                break; // the answer says why
            }
            sent += n;
            if pause > 0 {
                monotonic_clock::subscribe_duration(pause as u64 * 1_000_000).block();
            }
        }
        drop(stream);
        let trailers: Vec<_> = trailers.into_iter().map(|(n, v)| (n, v.into_bytes())).collect();
        let fields = if trailers.is_empty() { None } else { Some(Fields::from_list(&trailers).map_err(|e| format!("{e:?}"))?) };
        let finished = OutgoingBody::finish(body, fields);
        let answer = finish(wait(future)?)?;
        finished.map_err(show)?;
        Ok(answer)
    }

    fn converse(url: String, turns: u32) -> Result<Vec<String>, String> {
        let out = prepare(&simple("POST", &url, ""))?;
        let body = out.body().map_err(|()| "there is no body")?;
        let future = outgoing_handler::handle(out, None).map_err(show)?;
        let stream = body.write().map_err(|()| "the body has no stream")?;
        let response = wait(future)?;
        let incoming = response.consume().map_err(|()| "there is no body")?;
        let input = incoming.stream().map_err(|()| "the body has no stream")?;
        let mut lines = vec![];
        for turn in 0..turns {
            stream.blocking_write_and_flush(format!("line {turn}\n").as_bytes()).map_err(|e| format!("{e:?}"))?;
            let mut line = vec![];
            while line.last() != Some(&b'\n') {
                line.extend(piece(&input, 1)?.ok_or("the answer has ended")?);
            }
            lines.push(String::from_utf8_lossy(&line).trim_end().to_string());
        }
        drop(stream);
        OutgoingBody::finish(body, None).map_err(show)?;
        while piece(&input, PIECE)?.is_some() {}
        Ok(lines)
    }

    fn give_up(url: String) -> Result<Answer, String> {
        let out = prepare(&simple("POST", &url, ""))?;
        let body = out.body().map_err(|()| "there is no body")?;
        let future = outgoing_handler::handle(out, None).map_err(show)?;
        let stream = body.write().map_err(|()| "the body has no stream")?;
        stream.blocking_write_and_flush(b"begun").map_err(|e| format!("{e:?}"))?;
        monotonic_clock::subscribe_duration(1_000_000).block(); // so it leaves
        drop(stream);
        drop(body);
        finish(wait(future)?)
    }

    fn open(url: String) -> Result<(), String> {
        let out = prepare(&simple("PUT", &url, ""))?;
        let body = out.body().map_err(|()| "there is no body")?;
        let future = outgoing_handler::handle(out, None).map_err(show)?;
        WRITING.set(Some((body.write().map_err(|()| "the body has no stream")?, body, future)));
        Ok(())
    }

    fn more(text: String) -> Result<(), String> {
        WRITING.with_borrow(|w| {
            let (stream, _, _) = w.as_ref().ok_or("nothing is open")?;
            put(stream, text.as_bytes()).map_err(|e| format!("{e:?}"))
        })
    }

    fn close() -> Result<Answer, String> {
        let (stream, body, future) = WRITING.take().ok_or("nothing is open")?;
        drop(stream);
        OutgoingBody::finish(body, None).map_err(show)?;
        finish(wait(future)?)
    }

    fn begin(url: String) -> Result<(), String> {
        let response = wait(start(&simple("GET", &url, ""), (0, 0, 0))?)?;
        let body = response.consume().map_err(|()| "there is no body")?;
        let stream = body.stream().map_err(|()| "the body has no stream")?;
        OPEN.set(Some(Open { stream, _body: body, _response: response }));
        Ok(())
    }

    fn rest(most: u32) -> Result<String, String> {
        let open = OPEN.take().ok_or("nothing is open")?;
        let mut all = vec![];
        while all.len() < most as usize {
            match piece(&open.stream, (most as usize - all.len()) as u64)? {
                Some(p) => all.extend(p),
                None => return Ok(String::from_utf8_lossy(&all).into_owned()),
            }
        }
        OPEN.set(Some(open));
        Ok(String::from_utf8_lossy(&all).into_owned())
    }

    fn patience(url: String, most: u32) -> Option<Result<String, String>> {
        let future = match start(&simple("GET", &url, ""), (0, 0, 0)) {
            Ok(f) => f,
            Err(e) => return Some(Err(e)),
        };
        let (answered, late) = (future.subscribe(), monotonic_clock::subscribe_duration(most as u64 * 1_000_000));
        let ready = poll(&[&answered, &late]);
        drop(answered);
        if !ready.contains(&0) {
            return None;
        }
        Some(wait(future).and_then(finish).and_then(body))
    }
}
