//! Everything of the crate guest/rust, once.

wit_bindgen::generate!({ world: "waterbear:crate/crate-tour" });

use std::cell::RefCell;
use std::time::{Duration, SystemTime};

use waterbear::control::{self, RetryPolicy, Waypoint};
use waterbear::effects::{self, Kind};
use waterbear::workers::{self, Failure, Options};
use waterbear::{config, context, history, transaction, Outcome, Promise, Refusal};

struct Tour;

export!(Tour);

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Guest for Tour {
    fn tour() -> Vec<String> {
        let me = context::current();
        let other = format!("{}/other", me.component);
        let settled = |value: &[u8]| {
            let p = Promise::create("p").unwrap();
            p.complete(value).unwrap();
            p
        };
        let pending = Promise::create("pending").unwrap();
        let failed = Promise::create("failed").unwrap();
        failed.fail("no").unwrap();
        let later = workers::schedule(&other, "double", "[1]", SystemTime::now() + DAY).unwrap();
        let started = workers::start(&other, "double", "[3]").unwrap();
        let back = Waypoint::here();
        if back.repeats() < 2 {
            back.go_back();
        }
        let policy = RetryPolicy { attempts: 7, initial: Duration::from_millis(2), ..control::retry_policy() };
        control::set_retry_policy(policy);
        control::set_idempotence(false);
        let off = control::idempotence();
        control::set_idempotence(true);
        control::commit();
        let options = Options { revision: 0, args: vec![], env: vec![], ephemeral: false, settings: String::new() };
        let spawned = format!("{}/spawned", me.component);
        let first = history::entries(1, 0, &["Create"]);
        vec![
            format!("{}/{} revision {} attempt {}", me.component, me.name, me.revision, me.attempt),
            format!("created before now {}", me.created <= SystemTime::now()),
            format!("keys differ {}", context::idempotency_key() != context::idempotency_key()),
            format!("config {:?} {:?}", config::get("nothing"), config::get_all()),
            format!("gone back {}", back.repeats()),
            format!("atomic {} {}", control::atomic(|| 5), control::atomic_from(|begin| begin.repeats())),
            format!("policy {}", control::retry_policy() == policy),
            format!("idempotence {off} {}", control::idempotence()),
            format!("perform {:?}", effects::perform("a", b"b", Kind::Read, |times| vec![times as u8, 9])),
            format!("forget {:?}", effects::perform_and_forget("c", b"d", Kind::Write, |times| vec![times as u8, 8])),
            format!("history {} {} {}", first.entries.len(), first.entries[0].kind, first.next),
            format!("wait {}", said(settled(b"yes").wait())),
            format!("failed {}", said(failed.wait())),
            format!("wait for {:?}", pending.wait_for(Duration::from_millis(1)).map(|o| o.is_some())),
            format!("wait any {:?}", Promise::wait_any(&[pending.clone(), failed.clone()], None)),
            format!("poll {:?}", pending.poll().map(|o| o.is_some())),
            format!("withdraw {:?} {}", pending.withdraw(), pending.poll().unwrap_err() == Refusal::Unknown),
            format!("named {:?}", Promise::named(failed.name()) == failed),
            format!("unknown {}", Promise::named("nonsense").wait().unwrap_err() == Refusal::Unknown),
            format!("invoke {:?}", workers::invoke(&other, "double", "[2]").unwrap()),
            format!("started {} {:?}", started.wait().unwrap(), started.poll().unwrap()),
            format!("scheduled {:?} {:?}", later.poll().unwrap(), later.cancel().is_ok()),
            format!("spawn {} {}", workers::spawn(&spawned, &options).unwrap(), workers::spawn(&spawned, &options).unwrap()),
            format!("list {}", workers::list(&me.component, "").unwrap().workers.len()),
            format!("status {}", workers::status(&spawned).unwrap().status),
            format!("fork {:?}", workers::fork("twin").unwrap()),
            format!("no function {}", workers::invoke(&other, "triple", "[]").unwrap_err().kind == Failure::NoFunction),
            format!("quote {}", workers::quote("a \"b\" \\ \n é")),
        ]
    }

    fn undone(panics: u64) -> Vec<String> {
        let undone = RefCell::new(vec![]);
        let undo = |name: String, _| undone.borrow_mut().push(name);
        let why = transaction(|t| {
            t.step("first", |_| Ok::<_, String>("one".to_string()), |name, times| {
                // A panic takes back what this has done, and nothing else.
                undo(name, times);
                if times < panics {
                    panic!("not yet");
                }
            })?;
            t.step("second", |_| Ok::<_, String>("two".to_string()), undo)?;
            t.step("third", |_| Err::<String, _>("three".to_string()), undo)
        });
        undone.borrow_mut().push(why.unwrap_err());
        // What succeeds stays.
        let kept = transaction(|t| t.step("fourth", |_| Ok::<_, String>("four".to_string()), undo));
        undone.borrow_mut().push(format!("kept {}", kept.unwrap()));
        undone.take()
    }

    fn double(n: u32) -> u32 {
        2 * n
    }
}

fn said(outcome: Result<Outcome, Refusal>) -> String {
    match outcome {
        Ok(Outcome::Completed(value)) => String::from_utf8(value).unwrap(),
        Ok(Outcome::Failed(why)) => why,
        Err(why) => format!("{why:?}"),
    }
}
