use std::fmt;
use std::time::Duration;

use crate::bindings::waterbear::durable::promises as host;

pub use host::{Outcome, Refusal};

/// A value that is not there yet, with a durable name that can be given to
/// anybody. Whoever knows the name can settle the promise, once. Waiting for it
/// takes no memory, however long it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Promise {
    name: String,
}

impl Promise {
    /// Makes a promise. The label, of at most 256 bytes, says to people what it is
    /// for.
    pub fn create(label: &str) -> Result<Promise, Refusal> {
        host::create(label).map(|name| Promise { name })
    }

    /// The promise of a name, COMPONENT/WORKER/PROMISE, of this worker or another.
    /// Whether there is one shows when it is used.
    pub fn named(name: impl Into<String>) -> Promise {
        Promise { name: name.into() }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Gives a URL by which anybody can complete this worker's promise, once, with
    /// the body of a POST.
    pub fn webhook_url(&self) -> Result<String, Refusal> {
        host::webhook_url(&self.name)
    }

    /// Waits for this worker's promise.
    pub fn wait(&self) -> Result<Outcome, Refusal> {
        host::wait(&self.name)
    }

    /// Waits for this worker's promise, at most for a time; gives none when that is
    /// over.
    pub fn wait_for(&self, timeout: Duration) -> Result<Option<Outcome>, Refusal> {
        match Promise::wait_any(std::slice::from_ref(self), Some(timeout))? {
            Some(_) => self.wait().map(Some),
            None => Ok(None),
        }
    }

    /// Waits for the first of some of this worker's promises, at most 1024 of them.
    /// Gives its place in the slice, or none when the time is over.
    pub fn wait_any(promises: &[Promise], timeout: Option<Duration>) -> Result<Option<usize>, Refusal> {
        let names: Vec<String> = promises.iter().map(|p| p.name.clone()).collect();
        let place = host::wait_any(&names, timeout.map(crate::nanoseconds))?;
        Ok(place.map(|p| p as usize))
    }

    /// Tells what has become of this worker's promise, if anything has yet.
    pub fn poll(&self) -> Result<Option<Outcome>, Refusal> {
        host::poll(&self.name)
    }

    /// Makes that nobody can settle this worker's promise any more.
    pub fn withdraw(&self) -> Result<(), Refusal> {
        host::withdraw(&self.name)
    }

    /// Completes the promise, of any worker, with at most 256 KiB.
    pub fn complete(&self, value: &[u8]) -> Result<(), Refusal> {
        host::complete(&self.name, value)
    }

    /// Lets the promise, of any worker, fail.
    pub fn fail(&self, message: &str) -> Result<(), Refusal> {
        host::fail(&self.name, message)
    }
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.name)
    }
}
