//! Who the program is, and keys for what it asks of others.

use std::time::SystemTime;

use crate::bindings::waterbear::durable::context as host;

/// A worker, and what it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The component that was deployed; `run` under `waterbear run`.
    pub component: String,
    /// The worker's name within the component.
    pub name: String,
    /// The revision of the component; 0 under `waterbear run`.
    pub revision: u64,
    /// When the worker was created.
    pub created: SystemTime,
    /// The idempotency key of the invocation; empty while the worker is
    /// initialized.
    pub invocation: String,
    /// Which attempt of the invocation this is, from 1.
    pub attempt: u64,
}

/// Says who the program is.
pub fn current() -> Identity {
    let host::Identity { component, name, revision, created, invocation, attempt } = host::current();
    Identity { component, name, revision, created: crate::instant(created), invocation, attempt }
}

/// Makes a key for a call that must not take effect twice: another one each time,
/// and the same one whenever the program comes here again, after a crash or in
/// the next attempt.
pub fn idempotency_key() -> String {
    host::idempotency_key()
}
