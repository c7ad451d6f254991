use std::fmt::Display;

use crate::effects::{perform, Kind};

/// Steps that are taken back together: what undoes those that have succeeded, in
/// order.
#[derive(Default)]
pub struct Transaction<'a> {
    compensations: Vec<(String, Box<dyn FnOnce(u64) + 'a>)>,
}

/// Runs steps. If that comes to an error, what the steps have done is undone, the
/// last first, each as an effect, and then the error is returned.
///
/// Only errors do that. A panic is tried again from the effect it is in, or by the
/// invocation's next attempt; when there are no more, nothing is undone.
pub fn transaction<'a, T, E>(steps: impl FnOnce(&mut Transaction<'a>) -> Result<T, E>) -> Result<T, E> {
    let mut transaction = Transaction::default();
    let result = steps(&mut transaction);
    if result.is_err() {
        for (name, undo) in transaction.compensations.into_iter().rev() {
            perform(&format!("undo {name}"), b"", Kind::Write, |times| {
                undo(times);
                Vec::new()
            });
        }
    }
    result
}

impl<'a> Transaction<'a> {
    /// Takes a step, an effect of that name. If it succeeds, `undo` is kept, which
    /// is given what it came to. One that cannot undo now panics: it is tried again
    /// by the retry policy. Both are told how often their effect was begun before
    /// and not ended, as by [`perform`].
    pub fn step<T, E>(
        &mut self,
        name: &str,
        act: impl FnOnce(u64) -> Result<T, E>,
        undo: impl FnOnce(T, u64) + 'a,
    ) -> Result<T, E>
    where
        T: Clone + AsRef<[u8]> + 'a,
        E: Display,
    {
        let mut result = None;
        // The outcome is for those who read the history. The program keeps the
        // result itself, for what is in an effect is replayed with all the rest.
        perform(name, b"", Kind::Write, |times| {
            match result.insert(act(times)) {
                Ok(done) => done.as_ref().to_vec(),
                Err(why) => why.to_string().into_bytes(),
            }
        });
        let done = result.expect("an effect that was not forgotten is performed")?;
        let kept = done.clone();
        self.compensations.push((name.to_string(), Box::new(move |times| undo(kept, times))));
        Ok(done)
    }
}
