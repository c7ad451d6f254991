//! A library whose resources live between two calls: an open file, a stream, a
//! timer, and handles of a resource of its own. keeper.wit says what its
//! functions do.

wit_bindgen::generate!({ path: "wit", world: "keeper" });

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use exports::waterbear::keeper::tokens::{Guest as Tokens, GuestToken, Token};
use wasip2::clocks::monotonic_clock;
use wasip2::filesystem::preopens;
use wasip2::filesystem::types::{Descriptor, DescriptorFlags, OpenFlags, PathFlags};
use wasip2::io::poll::Pollable;
use wasip2::io::streams::InputStream;
use wasip2::random::random::get_random_u64;

struct Keeper;

export!(Keeper);

struct Value(i64);

impl GuestToken for Value {
    fn new(value: i64) -> Self {
        Value(value)
    }

    fn value(&self) -> i64 {
        self.0
    }
}

impl Tokens for Keeper {
    type Token = Value;
}

#[derive(Default)]
struct State {
    counter: i64,
    registered: i64,
    written: i64,
    read: i64,
    log: Option<File>,
    stream: Option<(InputStream, Descriptor)>, // in the order in which they are dropped
    timer: Option<Pollable>,
    tokens: VecDeque<Token>,
}

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

fn with<T>(change: impl FnOnce(&mut State) -> T) -> T {
    STATE.with_borrow_mut(change)
}

const LOG: &str = "log";

impl State {
    fn append(&mut self, n: i64) -> io::Result<i64> {
        if self.log.is_none() {
            self.log = Some(OpenOptions::new().create(true).append(true).open(format!("/{LOG}"))?);
        }
        self.log.as_mut().expect("it is open").write_all(&n.to_le_bytes())?;
        self.written += 1;
        Ok(self.written)
    }

    fn next(&mut self) -> i64 {
        if self.read == self.written {
            return -1;
        }
        let (stream, _) = self.stream.get_or_insert_with(|| {
            let (root, _) = preopens::get_directories().pop().expect("there is a directory");
            let file = root.open_at(PathFlags::empty(), LOG, OpenFlags::empty(), DescriptorFlags::READ).expect("it was written");
            (file.read_via_stream(0).expect("it can be read"), file)
        });
        let number = stream.blocking_read(8).expect("there is more");
        self.read += 1;
        i64::from_le_bytes(number.try_into().expect("it is written as a whole"))
    }
}

fn wall() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later")
}

impl Guest for Keeper {
    fn inc(n: i64) -> i64 {
        with(|s| {
            s.counter += n;
            s.counter
        })
    }

    fn get() -> i64 {
        with(|s| s.counter)
    }

    fn put(value: i64) -> i64 {
        with(|s| std::mem::replace(&mut s.registered, value))
    }

    fn file_inc(n: i64) -> i64 {
        let before = fs::read("/counter").map_or(0, |b| i64::from_le_bytes(b.try_into().expect("it has 8 bytes")));
        fs::write("/counter", (before + n).to_le_bytes()).expect("it can be written");
        before + n
    }

    fn roll() -> i64 {
        let drawn = get_random_u64();
        with(|s| s.counter += (drawn >> 32) as i64);
        (drawn >> 1) as i64
    }

    fn now() -> i64 {
        let now = wall().as_nanos() as i64;
        with(|s| s.counter += now & 1);
        now
    }

    fn nap(milliseconds: i64) -> i64 {
        let began = Instant::now();
        sleep(Duration::from_millis(milliseconds.max(0) as u64));
        began.elapsed().as_millis() as i64
    }

    fn steps(n: i64) -> i64 {
        for _ in 0..n {
            let _ = Instant::now();
            with(|s| s.counter += 1);
        }
        Self::get()
    }

    fn print(n: i64) {
        for i in 0..n {
            println!("line {i}");
        }
        eprintln!("printed {n}");
    }

    fn fail() {
        with(|s| {
            s.append(1000).expect("it can be written");
            *s = State::default();
        });
        Self::mint(1000);
        Self::arm(1000);
        panic!("as it was told");
    }

    fn flaky(n: i64) -> i64 {
        with(|s| s.counter += 1000);
        if wall().subsec_nanos() as i64 % n != 0 {
            panic!("no luck");
        }
        with(|s| {
            s.counter -= 1000;
            s.counter
        })
    }

    fn append(n: i64) -> i64 {
        with(|s| s.append(n)).expect("it can be written")
    }

    fn next() -> i64 {
        with(State::next)
    }

    fn arm(milliseconds: i64) {
        with(|s| s.timer = Some(monotonic_clock::subscribe_duration(milliseconds.max(0) as u64 * 1_000_000)));
    }

    fn ring() -> i64 {
        with(|s| s.timer.take()).map_or(0, |timer| {
            timer.block();
            1
        })
    }

    fn mint(value: i64) -> i64 {
        with(|s| {
            s.tokens.push_back(Token::new(Value(value)));
            s.tokens.len() as i64
        })
    }

    fn spend() -> i64 {
        with(|s| s.tokens.pop_front()).map_or(-1, |token| token.get::<Value>().value())
    }
}
