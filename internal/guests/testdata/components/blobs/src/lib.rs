//! A library that does what it is told with wasi:blobstore, and keeps values and
//! streams open from one call to the next.

wit_bindgen::generate!({
    path: ["wit/deps/io.wit", "wit/deps/blobstore.wit", "wit/blobs.wit"],
    world: "waterbear:blobs/blobs",
    generate_all,
});

use std::cell::RefCell;

use wasi::blobstore::blobstore::{
    container_exists, copy_object, create_container, delete_container, get_container, move_object, Container, ObjectId,
};
use wasi::blobstore::container::StreamObjectNames;
use wasi::blobstore::types::{IncomingValue, OutgoingValue};
use wasi::io::streams::{InputStream, OutputStream, StreamError};

struct Blobs;

export!(Blobs);

thread_local! {
    static OUT: RefCell<Option<(OutputStream, OutgoingValue)>> = const { RefCell::new(None) };
    static IN: RefCell<Option<InputStream>> = const { RefCell::new(None) };
    static NAMES: RefCell<Option<StreamObjectNames>> = const { RefCell::new(None) };
}

fn failed(e: StreamError) -> String {
    match e {
        StreamError::LastOperationFailed(e) => e.to_debug_string(),
        StreamError::Closed => "closed".into(),
    }
}

/// Content as it is told: itself, or its length and a sum.
fn text(p: &[u8]) -> String {
    if p.len() <= 100 {
        return String::from_utf8_lossy(p).into_owned();
    }
    let sum = p.iter().fold(0u32, |s, b| s.wrapping_mul(31).wrapping_add(*b as u32));
    format!("{} bytes {sum:08x}", p.len())
}

/// The bytes of large content from one place to another.
fn pattern(from: u64, to: u64) -> Vec<u8> {
    (from..to).map(|i| (i.wrapping_mul(7) + (i >> 16)) as u8).collect()
}

/// Writes as much at a time as the stream permits.
fn write(out: &OutputStream, mut p: &[u8]) -> Result<(), String> {
    let ready = out.subscribe();
    while !p.is_empty() {
        ready.block();
        let n = (out.check_write().map_err(failed)? as usize).min(p.len());
        out.write(&p[..n]).map_err(failed)?;
        p = &p[n..];
    }
    out.blocking_flush().map_err(failed)
}

fn read(from: &InputStream, limit: u64) -> Result<Vec<u8>, String> {
    let mut all = Vec::new();
    while (all.len() as u64) < limit {
        match from.blocking_read((limit - all.len() as u64).min(100_000)) {
            Ok(p) => all.extend(p),
            Err(StreamError::Closed) => break,
            Err(e) => return Err(failed(e)),
        }
    }
    Ok(all)
}

/// An object: container:name, or the name alone.
fn object(container: &str, word: &str) -> ObjectId {
    let (container, object) = word.split_once(':').unwrap_or((container, word));
    ObjectId { container: container.into(), object: object.into() }
}

fn begin(container: &Container, name: &str) -> Result<(OutputStream, OutgoingValue), String> {
    let value = OutgoingValue::new_outgoing_value();
    container.write_data(name, &value)?;
    let out = value.outgoing_value_write_body().map_err(|()| "no body")?;
    Ok((out, value))
}

fn end((out, value): (OutputStream, OutgoingValue)) -> Result<(), String> {
    drop(out);
    OutgoingValue::finish(value)
}

fn list(names: &StreamObjectNames, len: u64) -> Result<String, String> {
    let (list, end) = names.read_stream_object_names(len)?;
    Ok(format!("{} {end}", list.join(",")))
}

/// What a step comes to, or why it does not.
fn step(name: &str, script: &str) -> Result<String, String> {
    let words: Vec<&str> = script.split(' ').collect();
    let word = |i: usize| words.get(i).copied().unwrap_or("");
    let number = |i: usize| word(i).parse::<u64>().unwrap();
    let container = || get_container(name);
    match word(0) {
        "create" => return create_container(name)?.name(),
        "delete-container" => delete_container(name)?,
        "exists" => return Ok(container_exists(name)?.to_string()),
        "copy" => copy_object(&object(name, word(1)), &object(name, word(2)))?,
        "move" => move_object(&object(name, word(1)), &object(name, word(2)))?,
        "info" => {
            let info = container()?.info()?;
            return Ok(format!("{} {}", info.name, info.created_at > 1_700_000_000));
        }
        "put" => {
            let value = begin(&container()?, word(1))?;
            value.0.blocking_write_and_flush(word(2).as_bytes()).map_err(failed)?;
            end(value)?
        }
        "late" => {
            // The place comes behind the bytes.
            let value = OutgoingValue::new_outgoing_value();
            let out = value.outgoing_value_write_body().map_err(|()| "no body")?;
            write(&out, word(2).as_bytes())?;
            drop(out);
            container()?.write_data(word(1), &value)?;
            OutgoingValue::finish(value)?
        }
        "nowhere" => {
            let value = OutgoingValue::new_outgoing_value();
            OutgoingValue::finish(value)?
        }
        "twice" => {
            let value = OutgoingValue::new_outgoing_value();
            let first = value.outgoing_value_write_body().is_ok();
            let second = value.outgoing_value_write_body().is_ok();
            let container = container()?;
            container.write_data(word(1), &value)?;
            return Ok(format!("{first} {second} {:?}", container.write_data(word(2), &value)));
        }
        "early" => {
            // Finished while its stream is there, which is a trap.
            let (out, value) = begin(&container()?, word(1))?;
            OutgoingValue::finish(value)?;
            drop(out)
        }
        "fill" => {
            let value = begin(&container()?, word(1))?;
            let (mut from, to) = (0, number(2));
            while from < to {
                let next = (from + (1 << 20)).min(to);
                write(&value.0, &pattern(from, next))?;
                from = next;
            }
            end(value)?
        }
        "splice" => {
            let container = container()?;
            let (out, value) = begin(&container, word(2))?;
            let from = IncomingValue::incoming_value_consume_async(container.get_data(word(1), 0, u64::MAX)?)?;
            let mut n = 0;
            loop {
                match out.blocking_splice(&from, 1 << 20) {
                    Ok(more) => n += more,
                    Err(StreamError::Closed) => break,
                    Err(e) => return Err(failed(e)),
                }
            }
            end((out, value))?;
            return Ok(n.to_string());
        }
        "begin" => OUT.set(Some(begin(&container()?, word(1))?)),
        "more" => return OUT.with_borrow(|o| write(&o.as_ref().unwrap().0, word(1).as_bytes()).map(|()| "ok".into())),
        "many" => return OUT.with_borrow(|o| write(&o.as_ref().unwrap().0, &pattern(number(1), number(2))).map(|()| "ok".into())),
        "end" => end(OUT.take().unwrap())?,
        "drop" => drop(OUT.take()),
        "leave" => {
            for _ in 0..number(1) {
                let (out, value) = begin(&container()?, "left")?;
                let done = write(&out, &pattern(0, number(2)));
                std::mem::forget((out, value));
                done?
            }
        }
        "get" => {
            let value = container()?.get_data(word(1), 0, u64::MAX)?;
            let size = value.size();
            let all = IncomingValue::incoming_value_consume_sync(value)?;
            assert_eq!(size, all.len() as u64);
            return Ok(text(&all));
        }
        "part" => {
            let value = container()?.get_data(word(1), number(2), number(3))?;
            let from = IncomingValue::incoming_value_consume_async(value)?;
            return Ok(text(&read(&from, u64::MAX)?));
        }
        "check" => {
            // Streams all of what fill has written, without keeping it.
            let value = container()?.get_data(word(1), 0, u64::MAX)?;
            let size = value.size();
            let from = IncomingValue::incoming_value_consume_async(value)?;
            let mut at = 0;
            loop {
                let p = read(&from, 1 << 20)?;
                if p.is_empty() {
                    break;
                }
                if p != pattern(at, at + p.len() as u64) {
                    return Err(format!("other bytes behind {at}"));
                }
                at += p.len() as u64;
            }
            return Ok(format!("{at} of {size}"));
        }
        "open" => {
            let value = container()?.get_data(word(1), number(2), number(3))?;
            IN.set(Some(IncomingValue::incoming_value_consume_async(value)?))
        }
        "next" => return IN.with_borrow(|i| read(i.as_ref().unwrap(), number(1)).map(|p| text(&p))),
        "list" => return list(&container()?.list_objects()?, number(1)),
        "names" => NAMES.set(Some(container()?.list_objects()?)),
        "read" => return NAMES.with_borrow(|n| list(n.as_ref().unwrap(), number(1))),
        "skip" => {
            let (n, end) = NAMES.with_borrow(|names| names.as_ref().unwrap().skip_stream_object_names(number(1)))?;
            return Ok(format!("{n} {end}"));
        }
        "delete" => container()?.delete_object(word(1))?,
        "delete-many" => container()?.delete_objects(&words[1..].iter().map(|w| w.to_string()).collect::<Vec<_>>())?,
        "delete-too-many" => container()?.delete_objects(&vec![String::new(); number(1) as usize])?,
        "has" => return Ok(container()?.has_object(word(1))?.to_string()),
        "size" => {
            let info = container()?.object_info(word(1))?;
            return Ok(format!("{} of {}: {} {}", info.name, info.container, info.size, info.created_at > 1_700_000_000));
        }
        "clear" => container()?.clear()?,
        verb => panic!("no step is called {verb}"),
    }
    Ok("ok".into())
}

impl Guest for Blobs {
    fn steps(container: String, script: Vec<String>) -> Vec<String> {
        script.iter().map(|s| step(&container, s).unwrap_or_else(|e| e)).collect()
    }
}
