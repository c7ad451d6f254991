//! Orders that are delivered as a whole or not at all: other workers reserve,
//! charge and ship, a person approves in between, and what was done is undone in
//! reverse order if something fails.

wit_bindgen::generate!({
    world: "example:saga/saga",
});

use std::cell::RefCell;
use std::time::Duration;

use waterbear::{context, transaction, workers, Outcome, Promise};

struct Saga;

export!(Saga);

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

thread_local!(static BOOK: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) });

impl Guest for Saga {
    fn order(item: String, cents: u32) -> Result<String, String> {
        transaction(|t| {
            t.step("reserve", |_| ask("stock", "reserve", &item), |item, _| undo("stock", "release", &item))?;
            t.step("charge", |_| ask("bank", "charge", &item), |item, _| undo("bank", "refund", &item))?;
            let who = approved(&item, cents)?;
            t.step("ship", |_| ask("carrier", "ship", &item), |_, _| ())?;
            Ok(format!("{item} is on its way, approved by {who}"))
        })
    }

    fn act(what: String, item: String) -> bool {
        // Nobody carries a piano.
        let possible = !(what == "ship" && item == "piano");
        let done = if possible { "" } else { "not " };
        BOOK.with_borrow_mut(|book| book.push(format!("{done}{what} {item}")));
        possible
    }

    fn book() -> Vec<String> {
        BOOK.with_borrow(Vec::clone)
    }
}

/// Has another worker do its part. The call takes effect once, however often
/// this is repeated.
fn ask(worker: &str, what: &str, item: &str) -> Result<String, String> {
    let worker = format!("{}/{worker}", context::current().component);
    let args = format!("[{},{}]", workers::quote(what), workers::quote(item));
    match workers::invoke(&worker, "act", &args) {
        Ok(result) if result == "[true]" => Ok(item.to_string()),
        Ok(_) => Err(format!("{worker} cannot {what} {item}")),
        Err(e) => Err(format!("{worker} cannot {what} {item}: {}", e.message)),
    }
}

/// Undoes a part. What cannot be undone now is tried again.
fn undo(worker: &str, what: &str, item: &str) {
    println!("{what} {item}");
    ask(worker, what, item).unwrap();
}

/// Waits for a person, and says who it was.
fn approved(item: &str, cents: u32) -> Result<String, String> {
    let asked = || {
        let answer = Promise::create(&format!("approve {item} for {cents} cents"))?;
        println!("POST who you are to {}", answer.webhook_url()?);
        let outcome = answer.wait_for(7 * DAY)?;
        if outcome.is_none() {
            answer.withdraw()?;
        }
        Ok(outcome)
    };
    match asked().map_err(|why: waterbear::Refusal| format!("nobody can be asked: {why:?}"))? {
        Some(Outcome::Completed(who)) => Ok(String::from_utf8_lossy(&who).into_owned()),
        Some(Outcome::Failed(why)) => Err(format!("{item} is not approved: {why}")),
        None => Err(format!("nobody has approved {item} in a week")),
    }
}
