//! How what the program does is repeated and taken back.

use std::time::Duration;

use crate::bindings::waterbear::durable::control as host;

/// A place in the program's run that it can be taken back to: memory, files and
/// everything else of the worker are then as they were there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waypoint(u64);

impl Waypoint {
    /// Makes this place one. Only the newest 1000 of an attempt can be gone back to.
    pub fn here() -> Waypoint {
        Waypoint(host::waypoint())
    }

    /// Goes back. It traps if the place is of another attempt or lies in an atomic
    /// region that has ended, in an ephemeral worker, and after 1000 times in one
    /// attempt.
    pub fn go_back(self) -> ! {
        host::go_back(self.0);
        unreachable!("the host has not gone back")
    }

    /// How often this attempt was taken back to here, by whatever.
    pub fn repeats(self) -> u64 {
        host::repeats(self.0)
    }
}

/// Ends the region also when a panic is caught outside of it, where panics
/// unwind: by then the program has gone on, and has to balance what it began.
struct Region;

impl Drop for Region {
    fn drop(&mut self) {
        host::end_atomic();
    }
}

/// Runs an atomic region: whatever comes before it returns, a crash or a panic,
/// the program goes on from its beginning, where the waypoint is. What it returns
/// is the end of it, an `Err` too: that is a result like any other, and nothing
/// is taken back. To have an error repeated, panic, or [`Waypoint::go_back`].
pub fn atomic_from<T>(act: impl FnOnce(Waypoint) -> T) -> T {
    let begin = Waypoint(host::begin_atomic());
    let _region = Region;
    act(begin)
}

/// Is [`atomic_from`] for what need not know whether it is repeated.
pub fn atomic<T>(act: impl FnOnce() -> T) -> T {
    atomic_from(|_| act())
}

/// Returns when all that the program has done so far is durable. It need not do so
/// before it acts outside: that waits by itself.
pub fn commit() {
    host::commit();
}

/// Says whether requests that are in doubt after a crash may be sent again, as the
/// worker's settings say, or fail the invocation. It holds until the attempt ends,
/// and traps in an atomic region if they may not.
pub fn set_idempotence(on: bool) {
    host::set_idempotence(on);
}

/// Tells what [`set_idempotence`] has said.
pub fn idempotence() -> bool {
    host::idempotence()
}

/// When and how often an attempt, or an atomic region, that failed is tried again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryPolicy {
    /// In all, the first included; from 1 to 1000000.
    pub attempts: u64,
    /// The pause before the second; from a millisecond to a year.
    pub initial: Duration,
    /// The longest pause; not below the first, to a year.
    pub max: Duration,
    /// By how much each pause is longer than the one before; from 1 to 1000.
    pub factor: f64,
    /// The part of each pause that is left to chance; from 0 to 1.
    pub jitter: f64,
}

/// The policy that holds now: the program's own, or that of the worker's settings.
pub fn retry_policy() -> RetryPolicy {
    let host::RetryPolicy { attempts, initial, max, factor, jitter } = host::get_retry_policy();
    RetryPolicy { attempts, initial: Duration::from_nanos(initial), max: Duration::from_nanos(max), factor, jitter }
}

/// Sets the policy that decides if this attempt fails. What is out of range traps.
pub fn set_retry_policy(policy: RetryPolicy) {
    let RetryPolicy { attempts, initial, max, factor, jitter } = policy;
    host::set_retry_policy(host::RetryPolicy {
        attempts,
        initial: crate::nanoseconds(initial),
        max: crate::nanoseconds(max),
        factor,
        jitter,
    });
}
