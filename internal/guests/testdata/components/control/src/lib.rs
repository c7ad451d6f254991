//! A library that does what it is told with the functions of waterbear:durable,
//! and writes what comes of it. It counts what it has done.

wit_bindgen::generate!({
    path: ["../../../../../wit/durable", "wit"],
    world: "waterbear:control/control",
    generate_all,
});

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use waterbear::durable::control::{self, RetryPolicy};
use waterbear::durable::effects::{self, Begun, Kind};
use waterbear::durable::{context, history};
use wasip2::http::outgoing_handler;
use wasip2::http::types::{Fields, OutgoingRequest, Scheme};

struct Control;

export!(Control);

static DONE: AtomicU64 = AtomicU64::new(0);

impl Guest for Control {
    fn steps(script: Vec<String>) -> u64 {
        let mut skipping = false; // what is in an effect that is done
        let mut begun = 0; // times that the newest effect was begun before
        let mut places = HashMap::new(); // waypoints by their names
        for step in script {
            let (name, argument) = step.split_once(' ').unwrap_or((&step, ""));
            if skipping {
                skipping = name != "forget-effect";
                continue;
            }
            match name {
                "current" => {
                    let i = context::current();
                    println!(
                        "{}/{} revision {} since {}, invocation {}, attempt {}",
                        i.component, i.name, i.revision, i.created > 0, i.invocation, i.attempt
                    );
                }
                "key" => println!("key {}", context::idempotency_key()),
                "trap-before" => {
                    // An attempt that comes too early fails.
                    if context::current().attempt < argument.parse().unwrap() {
                        panic!("too early");
                    }
                }
                "say" => println!("{argument}"),
                "sleep" => sleep(Duration::from_millis(argument.parse().unwrap())),
                "trap" => panic!("on purpose"),
                "clock" => {
                    let _ = SystemTime::now();
                }
                "waypoint" => {
                    places.insert(argument.to_string(), control::waypoint());
                }
                "begin" => {
                    places.insert(argument.to_string(), control::begin_atomic());
                }
                "end" => control::end_atomic(),
                // These go on once the program was taken back so often to a place.
                "trap-until" | "back-until" => {
                    let (times, place) = argument.split_once(' ').unwrap();
                    if control::repeats(places[place]) < times.parse().unwrap() {
                        if name == "trap-until" {
                            panic!("not yet");
                        }
                        control::go_back(places[place]);
                        unreachable!();
                    }
                }
                "idempotence" => {
                    if !argument.is_empty() {
                        control::set_idempotence(argument == "on");
                    }
                    println!("idempotence {}", control::idempotence());
                }
                "commit" => control::commit(),
                "get" => println!("{}", get(argument)),
                "attempts" => control::set_retry_policy(RetryPolicy {
                    attempts: argument.parse().unwrap(),
                    initial: 1_000_000,
                    max: 2_000_000,
                    factor: 1.0,
                    jitter: 0.0,
                }),
                "factor" => {
                    let factor = argument.parse().unwrap();
                    control::set_retry_policy(RetryPolicy { factor, ..control::get_retry_policy() });
                }
                "policy" => {
                    let p = control::get_retry_policy();
                    println!("attempts {}, factor {}", p.attempts, p.factor);
                }
                // Effects are performed by the steps up to their end.
                "effect" | "ask" => {
                    let kind = if name == "ask" { Kind::Read } else { Kind::Write };
                    match effects::begin(argument, b"request", kind) {
                        Begun::Perform(times) => {
                            println!("perform {argument}, begun {times} times before");
                            begun = times;
                        }
                        Begun::Done(outcome) => {
                            println!("{argument} is done: {}", String::from_utf8_lossy(&outcome));
                            skipping = true;
                        }
                    }
                }
                "trap-begun" => {
                    if begun < argument.parse().unwrap() {
                        panic!("not yet");
                    }
                }
                "end-effect" => effects::end(argument.as_bytes()),
                "forget-effect" => effects::end_and_forget(argument.as_bytes()),
                "too-long-effect" => effects::end(&vec![0; (256 << 10) + 1]),
                "history" => {
                    let kinds: Vec<String> = argument.split(' ').filter(|k| !k.is_empty()).map(String::from).collect();
                    let (mut from, mut pages) = (1, 0);
                    let mut seen = Vec::new();
                    while from != 0 {
                        let page = history::entries(from, 0, &kinds);
                        seen.extend(page.entries.into_iter().map(|e| (e.index, e.kind, e.json)));
                        (from, pages) = (page.next, pages + 1);
                    }
                    println!("{} entries in {pages} pages", seen.len());
                    if let Some((_, kind, json)) = seen.last() {
                        println!("the last is {kind} {json}");
                    }
                }
                "repeat" => {
                    let (times, text) = argument.split_once(' ').unwrap();
                    for _ in 0..times.parse().unwrap() {
                        println!("{text}");
                    }
                }
                "back-to" => control::go_back(argument.parse().unwrap()),
                _ => panic!("no step is called {name}"),
            }
            DONE.fetch_add(1, Ordering::Relaxed);
        }
        DONE.load(Ordering::Relaxed)
    }
}

/// Asks for http://ADDRESS, and says what comes of it.
fn get(address: &str) -> String {
    let (authority, path) = address.split_once('/').unwrap();
    let request = OutgoingRequest::new(Fields::new());
    request.set_scheme(Some(&Scheme::Http)).unwrap();
    request.set_authority(Some(authority)).unwrap();
    request.set_path_with_query(Some(&format!("/{path}"))).unwrap();
    let response = outgoing_handler::handle(request, None).unwrap();
    response.subscribe().block();
    match response.get().unwrap().unwrap() {
        Ok(response) => format!("status {}", response.status()),
        Err(why) => why.to_string(),
    }
}
