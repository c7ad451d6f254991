//! A crawler: one worker knows which pages there are, and for each of them there is
//! a worker that looks at it.

wit_bindgen::generate!({
    world: "example:crawler/crawler",
});

use std::cell::Cell;
use std::collections::{HashSet, VecDeque};
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;
use waterbear::{context, workers};
use wstd::http::{Body, Client, Request};

struct Crawler;

export!(Crawler);

/// How many pages are looked at at once.
const AT_ONCE: usize = 100;

/// How long a site may take to answer, and how often it is asked.
const PATIENCE: Duration = Duration::from_millis(500);
const TRIES: u32 = 12;

thread_local!(static LOOKED: Cell<u32> = const { Cell::new(0) });

impl Guest for Crawler {
    fn crawl(site: String) -> Result<Summary, String> {
        let mut summary = Summary { pages: 0, words: 0, links: 0 };
        let mut known = HashSet::from(["/".to_string()]);
        let mut found = VecDeque::from(["/".to_string()]);
        let mut looking = VecDeque::new();
        loop {
            while looking.len() < AT_ONCE && !found.is_empty() {
                let page = found.pop_front().unwrap();
                looking.push_back(start(&site, &page)?);
            }
            let Some(call) = looking.pop_front() else { return Ok(summary) };
            let page = result(&call)?;
            let links = page["links"].as_array().ok_or("a page without links")?;
            summary.pages += 1;
            summary.words += page["words"].as_u64().ok_or("a page without words")?;
            summary.links += links.len() as u64;
            for link in links.iter().filter_map(Value::as_str) {
                if known.insert(link.to_string()) {
                    found.push_back(link.to_string());
                }
            }
        }
    }

    fn look(url: String) -> Result<Page, String> {
        let html = get(&url)?;
        LOOKED.set(LOOKED.get() + 1);
        let text = html.split('<').map(|part| part.split_once('>').map_or(part, |(_, text)| text));
        let links = html.split("href=\"").skip(1).filter_map(|part| part.split_once('"'));
        Ok(Page {
            words: text.map(|text| text.split_whitespace().count() as u64).sum(),
            links: links.map(|(link, _)| link.to_string()).collect(),
        })
    }

    fn looked() -> u32 {
        LOOKED.get()
    }
}

/// Lets the worker of a page look at it.
fn start(site: &str, page: &str) -> Result<workers::Call, String> {
    let worker = format!("{}/page{}", context::current().component, page.replace('/', "-"));
    let args = format!("[{}]", workers::quote(&format!("{site}{page}")));
    workers::start(&worker, "look", &args).map_err(|why| format!("{worker} cannot look: {}", why.message))
}

/// Waits for what a worker has found.
fn result(call: &workers::Call) -> Result<Value, String> {
    let text = call.wait().map_err(|why| format!("{} has failed: {}", call.worker(), why.message))?;
    let results: Value = serde_json::from_str(&text).map_err(|why| why.to_string())?;
    match &results[0]["ok"] {
        Value::Null => Err(format!("{} has not found its page: {text}", call.worker())),
        page => Ok(page.clone()),
    }
}

/// Gets what is at a URL, however often that takes.
fn get(url: &str) -> Result<String, String> {
    let mut pause = Duration::from_millis(20);
    for _ in 0..TRIES {
        match wstd::runtime::block_on(send(url)) {
            Ok((200, text)) => return Ok(text),
            Ok((status @ 400..500, _)) => return Err(format!("{url} answers {status}")),
            _ => sleep(pause),
        }
        pause *= 2;
    }
    Err(format!("{url} has not answered {TRIES} times"))
}

async fn send(url: &str) -> Result<(u16, String), wstd::http::Error> {
    let mut client = Client::new();
    client.set_first_byte_timeout(PATIENCE);
    let response = client.send(Request::get(url).body(Body::empty())?).await?;
    let status = response.status().as_u16();
    Ok((status, response.into_body().str_contents().await?.to_string()))
}
