//! Orders that are delivered as a whole or not at all: three services reserve,
//! charge and ship, and what was done is undone in reverse order if one refuses.

wit_bindgen::generate!({
    world: "example:saga/saga",
});

use std::thread::sleep;
use std::time::Duration;

use waterbear::{context, transaction};
use wstd::http::{Body, Client, Request};

struct Saga;

export!(Saga);

/// How long a service may take to answer, and the longest pause before it is asked
/// again.
const PATIENCE: Duration = Duration::from_millis(500);
const PAUSE: Duration = Duration::from_secs(60);

impl Guest for Saga {
    fn order(number: String, item: String, at: String) -> Result<String, String> {
        let ask = |what: &str| post(&format!("{at}/{what}"), &format!("{number} {item}"));
        // A service that refuses to undo is asked again, by the retry policy.
        let undo = |what: &str| println!("{what}: {}", ask(what).unwrap());
        transaction(|t| {
            t.step("reserve", |_| ask("stock/reserve"), |_, _| undo("stock/release"))?;
            t.step("charge", |_| ask("payment/charge"), |_, _| undo("payment/refund"))?;
            t.step("ship", |_| ask("shipping/ship"), |_, _| ())?;
            Ok(format!("{item} is on its way"))
        })
    }
}

/// Sends a request until it is answered, with the same key each time. It does not
/// give up: a request without an answer may have been carried out, so there would be
/// no telling what to undo.
fn post(url: &str, body: &str) -> Result<String, String> {
    let key = context::idempotency_key();
    let mut pause = Duration::from_millis(20);
    loop {
        match wstd::runtime::block_on(send(url, &key, body)) {
            Ok((200, answer)) => return Ok(answer),
            Ok((400..500, why)) => return Err(why),
            _ => sleep(pause),
        }
        pause = PAUSE.min(2 * pause);
    }
}

async fn send(url: &str, key: &str, body: &str) -> Result<(u16, String), wstd::http::Error> {
    let mut client = Client::new();
    client.set_first_byte_timeout(PATIENCE);
    let request = Request::post(url).header("Idempotency-Key", key).body(Body::from(body.to_string()))?;
    let response = client.send(request).await?;
    let status = response.status().as_u16();
    Ok((status, response.into_body().str_contents().await?.to_string()))
}
