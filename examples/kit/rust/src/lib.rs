//! The worlds kit and, with the feature hosted, kit-hosted in Rust.

mod counters;
#[cfg(feature = "hosted")]
mod hosted;
mod values;

#[cfg(not(feature = "hosted"))]
wit_bindgen::generate!({ path: "../wit", world: "kit" });
#[cfg(feature = "hosted")]
wit_bindgen::generate!({ path: "../wit", world: "kit-hosted" });

use std::cell::{Cell, RefCell};

thread_local! {
    static TOTAL: Cell<i64> = const { Cell::new(0) };
    static LINES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

struct Kit;

export!(Kit);

impl Guest for Kit {
    fn add(n: i64) -> i64 {
        TOTAL.set(TOTAL.get().wrapping_add(n));
        TOTAL.get()
    }

    fn total() -> i64 {
        TOTAL.get()
    }

    fn remember(line: String) -> u32 {
        LINES.with_borrow_mut(|lines| {
            lines.push(line);
            lines.len() as u32
        })
    }

    fn recall() -> Vec<String> {
        LINES.with_borrow(Clone::clone)
    }

    fn say(line: String) {
        println!("{line}");
    }

    fn fail(why: String) {
        panic!("{why}");
    }

    #[cfg(feature = "hosted")]
    fn fill(name: String, entries: Vec<(String, Vec<u8>)>) -> Result<Vec<String>, String> {
        hosted::fill(&name, entries)
    }

    #[cfg(feature = "hosted")]
    fn look_up(name: String, key: String) -> Option<Vec<u8>> {
        hosted::look_up(&name, &key)
    }

    #[cfg(feature = "hosted")]
    fn weigh(bucket: &Bucket) -> u64 {
        hosted::weigh(bucket)
    }

    #[cfg(feature = "hosted")]
    fn hold(bucket: Bucket) -> Option<Bucket> {
        hosted::HELD.replace(Some(bucket))
    }

    #[cfg(feature = "hosted")]
    fn discard() -> Option<u32> {
        hosted::HELD.take().map(waterbear::kit::host::remove)
    }
}
