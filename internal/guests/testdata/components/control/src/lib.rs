//! A library that does what it is told with the functions of waterbear:durable,
//! and writes what comes of it. It counts what it has done.

wit_bindgen::generate!({
    path: ["../../../../../wit/durable", "wit"],
    world: "waterbear:control/control",
    generate_all,
});

use std::sync::atomic::{AtomicU64, Ordering};

use waterbear::durable::context;

struct Control;

export!(Control);

static DONE: AtomicU64 = AtomicU64::new(0);

impl Guest for Control {
    fn steps(script: Vec<String>) -> u64 {
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
                _ => panic!("no step is called {name}"),
            }
            DONE.fetch_add(1, Ordering::Relaxed);
        }
        DONE.load(Ordering::Relaxed)
    }
}
