//! Effects of a library's own: what takes many calls is one in the worker's
//! history, with a name, a request and an outcome.

use crate::bindings::waterbear::durable::effects as host;

pub use host::Kind;

/// Performs an effect, and gives its outcome, of at most 256 KiB; its name and
/// request have at most 256 KiB together.
///
/// `act` is told how often the effect was begun before and not ended: if that is
/// not 0, a crash or a panic came while it was performed, and it has to find out
/// whether the effect took place.
pub fn perform(name: &str, request: &[u8], kind: Kind, act: impl FnOnce(u64) -> Vec<u8>) -> Vec<u8> {
    match host::begin(name, request, kind) {
        host::Begun::Done(outcome) => outcome,
        host::Begun::Perform(times) => {
            let outcome = act(times);
            host::end(&outcome);
            outcome
        }
    }
}

/// Is [`perform`] for what observes much and comes to little: the outcome stays,
/// and what `act` did besides is forgotten, also in memory and files, and never
/// replayed. In an ephemeral worker, and for the 1001st time in one attempt, it is
/// `perform`.
pub fn perform_and_forget(name: &str, request: &[u8], kind: Kind, act: impl FnOnce(u64) -> Vec<u8>) -> Vec<u8> {
    match host::begin(name, request, kind) {
        host::Begun::Done(outcome) => outcome,
        host::Begun::Perform(times) => {
            let outcome = act(times);
            host::end_and_forget(&outcome);
            outcome
        }
    }
}
