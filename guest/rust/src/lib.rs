//! What a component can ask of Waterbear beyond WASI: the WIT package
//! `waterbear:durable@0.1.0`, with Rust's own types for times, results and
//! closures.
//!
//! A component that uses this crate imports the interfaces that it calls, and no
//! others; its own world need not name them.

#![warn(missing_docs)]

#[allow(missing_docs)]
mod bindings {
    wit_bindgen::generate!({
        path: "../../wit/durable",
        world: "waterbear:durable/imports",
    });
}

pub mod config;
pub mod context;
pub mod control;
pub mod effects;
pub mod history;
mod promise;
mod transaction;
pub mod workers;

pub use promise::{Outcome, Promise, Refusal};
pub use transaction::{transaction, Transaction};

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The longest that the interfaces can say is some 584 years.
fn nanoseconds(d: Duration) -> u64 {
    u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)
}

fn instant(since_epoch: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(since_epoch)
}
