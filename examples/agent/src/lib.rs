//! An agent: it asks a model what to do next, does it, and tells the model, until
//! that says that it is done. It calls tools, asks people, and waits for weeks.
//!
//! It keeps the conversation in a variable, and has no code for crashes.

wit_bindgen::generate!({
    world: "example:agent/agent",
});

use std::cell::RefCell;
use std::thread::sleep;
use std::time::Duration;

use serde_json::{json, Value};
use waterbear::{context, Outcome, Promise, Refusal};
use wstd::http::{Body, Client, Request};

struct Agent;

export!(Agent);

/// How long a person may take to answer.
const WEEKS: Duration = Duration::from_secs(6 * 7 * 24 * 60 * 60);

/// How long the model, or a tool, may take to answer, and how often it is asked.
const PATIENCE: Duration = Duration::from_millis(500);
const TRIES: u32 = 12;

/// How many steps the model may take for one task.
const STEPS: usize = 100;

thread_local!(static SAID: RefCell<Vec<Value>> = const { RefCell::new(Vec::new()) });

impl Guest for Agent {
    fn work(task: String, at: String) -> Result<String, String> {
        say("task", &task);
        for _ in 0..STEPS {
            let next = post(&format!("{at}/model"), &json!({ "said": SAID.with_borrow(Vec::clone) }))?;
            let about = next["about"].as_str().ok_or("the model makes no sense")?;
            match next["do"].as_str() {
                Some("call") => {
                    let tool = next["tool"].as_str().ok_or("the model names no tool")?;
                    say("agent", &format!("{tool} {about}"));
                    let result = post(&format!("{at}/tools/{tool}"), &json!({ "input": about }))?;
                    say("tool", result["output"].as_str().ok_or("the tool makes no sense")?);
                }
                Some("ask") => {
                    say("agent", about);
                    let answer = ask(about).map_err(|why| format!("nobody can be asked: {why:?}"))?;
                    say("person", &answer);
                }
                Some("wait") => {
                    say("agent", &format!("waits {about}"));
                    sleep(Duration::from_secs_f64(next["seconds"].as_f64().unwrap_or_default().clamp(0.0, 1e8)));
                    say("clock", "it is time");
                }
                Some("end") => {
                    say("agent", about);
                    return Ok(about.to_string());
                }
                _ => return Err(format!("the model wants what nobody can: {next}")),
            }
        }
        Err(format!("the model has not come to an end in {STEPS} steps"))
    }

    fn transcript() -> Vec<String> {
        SAID.with_borrow(|said| said.iter().map(line).collect())
    }
}

fn say(who: &str, text: &str) {
    let message = json!({ "who": who, "text": text });
    println!("{}", line(&message));
    SAID.with_borrow_mut(|said| said.push(message));
}

fn line(message: &Value) -> String {
    format!("{}: {}", message["who"].as_str().unwrap_or_default(), message["text"].as_str().unwrap_or_default())
}

/// Waits for what a person says. Meanwhile nothing of the agent is in memory.
fn ask(question: &str) -> Result<String, Refusal> {
    let answer = Promise::create(question)?;
    // A real program would send a mail here.
    println!("POST the answer to {}", answer.webhook_url()?);
    let outcome = answer.wait_for(WEEKS)?;
    if outcome.is_none() {
        answer.withdraw()?;
    }
    Ok(match outcome {
        Some(Outcome::Completed(text)) => String::from_utf8_lossy(&text).into_owned(),
        Some(Outcome::Failed(why)) => format!("no: {why}"),
        None => "no: nobody has answered".to_string(),
    })
}

/// Sends a request until it is answered, with the same key each time: it may have
/// arrived, and what answers does nothing twice for a key.
fn post(url: &str, body: &Value) -> Result<Value, String> {
    let key = context::idempotency_key();
    let mut pause = Duration::from_millis(20);
    for _ in 0..TRIES {
        match wstd::runtime::block_on(send(url, &key, body)) {
            Ok((200, answer)) => return serde_json::from_str(&answer).map_err(|why| format!("{url} makes no sense: {why}")),
            Ok((status @ 400..500, answer)) => return Err(format!("{url} answers {status}: {answer}")),
            _ => sleep(pause),
        }
        pause *= 2;
    }
    Err(format!("{url} has not answered {TRIES} times"))
}

async fn send(url: &str, key: &str, body: &Value) -> Result<(u16, String), wstd::http::Error> {
    let mut client = Client::new();
    client.set_first_byte_timeout(PATIENCE);
    let request = Request::post(url).header("Idempotency-Key", key).body(Body::from_json(body)?)?;
    let response = client.send(request).await?;
    let status = response.status().as_u16();
    Ok((status, response.into_body().str_contents().await?.to_string()))
}
