//! Orders that a person has to approve. An order that is not dear is approved at
//! once; for any other somebody gets a link and has days to answer, while the
//! worker takes no memory.

wit_bindgen::generate!({
    path: ["../../wit/durable", "wit"],
    world: "example:approval/approval",
    generate_all,
});

use waterbear::durable::promises::{self, Outcome, Refusal};

struct Approval;

export!(Approval);

/// What may be spent without asking.
const SMALL: u32 = 100;

const DAY: u64 = 24 * 60 * 60 * 1_000_000_000;

impl Guest for Approval {
    fn order(item: String, price: u32, days: u32) -> Result<String, String> {
        if price <= SMALL {
            return Ok(format!("{item} is ordered"));
        }
        ask(&item, price, days).unwrap_or_else(|why| Err(format!("nobody can be asked: {why:?}")))
    }
}

fn ask(item: &str, price: u32, days: u32) -> Result<Result<String, String>, Refusal> {
    let answer = promises::create(&format!("approve {item} for {price}"))?;
    // A real program would send a mail here.
    println!("POST who you are to {}", promises::webhook_url(&answer)?);

    if promises::wait_any(&[answer.clone()], Some(u64::from(days) * DAY))?.is_none() {
        promises::withdraw(&answer)?;
        return Ok(Err(format!("nobody has approved {item} in {days} days")));
    }
    Ok(match promises::wait(&answer)? {
        Outcome::Completed(who) => Ok(format!("{item} is ordered, approved by {}", String::from_utf8_lossy(&who))),
        Outcome::Failed(why) => Err(format!("{item} is not ordered: {why}")),
    })
}
