//! The workloads of test/peers, as an ordinary program: its counter is a variable,
//! and its steps are readings of the clock, each of which is recorded.

wit_bindgen::generate!({
    path: ["../../../wit/durable", "wit"],
    world: "waterbear:peers/peers",
    generate_all,
});

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use waterbear::durable::promises;

struct Peers;

export!(Peers);

static TOTAL: AtomicI64 = AtomicI64::new(0);

/// Where the driver listens.
const MARKS: &str = "127.0.0.1:7999";

fn mark(event: &str, id: &str) {
    let mut driver = TcpStream::connect(MARKS).unwrap();
    write!(driver, "GET /mark/{event}/{id} HTTP/1.1\r\nHost: {MARKS}\r\nConnection: close\r\n\r\n").unwrap();
    driver.read_to_end(&mut Vec::new()).unwrap();
}

fn steps(n: u32) -> u32 {
    let mut latest = SystemTime::UNIX_EPOCH;
    for _ in 0..n {
        latest = latest.max(SystemTime::now());
    }
    assert!(latest > SystemTime::UNIX_EPOCH || n == 0);
    n
}

impl Guest for Peers {
    fn add(n: i64) -> i64 {
        TOTAL.fetch_add(n, Ordering::Relaxed) + n
    }

    fn flow(n: u32) -> u32 {
        steps(n)
    }

    fn sleep(id: String, n: u32) {
        steps(n);
        if n > 0 {
            mark("steps", &id);
        }
        let wake = promises::create("wake").unwrap();
        promises::wait_any(&[wake], Some(Duration::from_secs(3600).as_nanos() as u64)).unwrap();
        if n > 0 {
            mark("next", &id);
        }
    }

    fn echo(text: String) -> String {
        text
    }
}
