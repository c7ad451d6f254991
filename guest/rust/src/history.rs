//! What the worker has recorded of itself.

use crate::bindings::waterbear::durable::history as host;

pub use host::{Entry, Page};

/// Gives entries of the worker's oplog, from one index to another, inclusive; 0
/// stands for the newest. Kinds, if any are named, choose among them. A page has
/// at most 100 entries, and says where the next begins, 0 at the end.
pub fn entries(from: u64, to: u64, kinds: &[&str]) -> Page {
    let kinds: Vec<String> = kinds.iter().map(|kind| kind.to_string()).collect();
    host::entries(from, to, &kinds)
}
