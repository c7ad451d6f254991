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

use waterbear::durable::{context, control};

struct Control;

export!(Control);

static DONE: AtomicU64 = AtomicU64::new(0);

impl Guest for Control {
    fn steps(script: Vec<String>) -> u64 {
        let mut places = HashMap::new(); // waypoints by their names
        for step in script {
            let (name, argument) = step.split_once(' ').unwrap_or((&step, ""));
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
                "back-to" => control::go_back(argument.parse().unwrap()),
                _ => panic!("no step is called {name}"),
            }
            DONE.fetch_add(1, Ordering::Relaxed);
        }
        DONE.load(Ordering::Relaxed)
    }
}
