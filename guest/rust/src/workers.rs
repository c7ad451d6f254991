//! Other workers of the platform, named `component/name`: their functions called,
//! exactly once each. Arguments and results are JSON arrays.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::bindings::waterbear::durable::workers as host;

pub use host::{Error, Failure, Info, Options, Page, Side};

/// Calls a function and waits for its result.
pub fn invoke(worker: &str, function: &str, args: &str) -> Result<String, Error> {
    host::invoke(worker, function, args)
}

/// Lets a function be called, and does not wait for it.
pub fn start(worker: &str, function: &str, args: &str) -> Result<Call, Error> {
    host::start(worker, function, args).map(|key| Call::of(worker, key))
}

/// Is [`start`] for a call that is to begin at a time; one before 1970 has come.
pub fn schedule(worker: &str, function: &str, args: &str, at: SystemTime) -> Result<Call, Error> {
    let at = crate::nanoseconds(at.duration_since(UNIX_EPOCH).unwrap_or_default());
    host::schedule(worker, function, args, at).map(|key| Call::of(worker, key))
}

/// A call that this worker has started, in this or an earlier invocation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Call {
    worker: String,
    key: String,
}

impl Call {
    /// The call of a worker with a key.
    pub fn of(worker: impl Into<String>, key: impl Into<String>) -> Call {
        Call { worker: worker.into(), key: key.into() }
    }

    /// The worker that is called.
    pub fn worker(&self) -> &str {
        &self.worker
    }

    /// The idempotency key of the call.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Waits for the result.
    pub fn wait(&self) -> Result<String, Error> {
        host::await_result(&self.worker, &self.key)
    }

    /// Looks for the result, and gives none if the call has not ended.
    pub fn poll(&self) -> Result<Option<String>, Error> {
        host::poll(&self.worker, &self.key)
    }

    /// Takes the call back, if it has not ended.
    pub fn cancel(&self) -> Result<(), Error> {
        host::cancel(&self.worker, &self.key)
    }
}

/// Makes a worker. One that was made alike already is as good: then the result is
/// false.
pub fn spawn(worker: &str, options: &Options) -> Result<bool, Error> {
    host::spawn(worker, options)
}

/// Makes a copy of this worker, which goes on from here as this one does, with the same
/// memory, files and history, in the same invocation: so it returns twice. The copy is
/// named `component/name`, of the same component, or by its name alone. Who waits for
/// the invocation gets what the original comes to.
pub fn fork(worker: &str) -> Result<Side, Error> {
    host::fork(worker)
}

/// Lists the workers of a component, all if that is empty, up to 100 at a time.
/// The first page begins at an empty `after`.
pub fn list(component: &str, after: &str) -> Result<Page, Error> {
    host::list_workers(component, after)
}

/// Looks at a worker.
pub fn status(worker: &str) -> Result<Info, Error> {
    host::status(worker)
}

/// Chooses the worker that gets the calls of an imported interface, until the
/// invocation ends.
pub fn choose(interface: &str, worker: &str) -> Result<(), Error> {
    host::choose(interface, worker)
}

/// Writes a text as a string of JSON, quotes included, for arguments.
pub fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c < ' ' => quoted.push_str(&format!("\\u{:04x}", c as u32)),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
