//! A library that calls other workers, its own kind too, and counts.

wit_bindgen::generate!({
    path: ["../../../../../wit/durable", "wit"],
    world: "waterbear:callers/callers",
    generate_all,
});

use std::cell::RefCell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use waterbear::durable::{context, control, promises, workers};

struct Callers;

export!(Callers);

#[derive(Default)]
struct State {
    count: i64,
    keys: Vec<String>, // of the calls that were started
    kept: String,      // a promise, or a waypoint
}

thread_local!(static STATE: RefCell<State> = RefCell::default());

fn state<T>(f: impl FnOnce(&mut State) -> T) -> T {
    STATE.with(|s| f(&mut s.borrow_mut()))
}

fn told(e: workers::Error) -> String {
    format!("{:?}: {}", e.kind, e.message)
}

fn text(r: Result<String, workers::Error>) -> String {
    r.unwrap_or_else(told)
}

fn key(n: &str) -> String {
    let n: usize = n.parse().unwrap();
    state(|s| s.keys[n].clone())
}

fn started(r: Result<String, workers::Error>) -> String {
    match r {
        Ok(key) => state(|s| {
            s.keys.push(key);
            format!("started {}", s.keys.len() - 1)
        }),
        Err(e) => told(e),
    }
}

fn info(i: &workers::Info) -> String {
    format!("{} revision {} {} queue {}", i.worker, i.revision, i.status, i.queue)
}

fn step(words: &[&str]) -> String {
    match words {
        ["add", n] => Callers::add(n.parse().unwrap()).to_string(),
        ["print", rest @ ..] => {
            println!("{}", rest.join(" "));
            String::new()
        }
        ["sleep", ms] => {
            std::thread::sleep(Duration::from_millis(ms.parse().unwrap()));
            String::new()
        }
        ["trap-before", n] => {
            if context::current().attempt < n.parse().unwrap() {
                panic!("too early");
            }
            String::new()
        }
        // Nobody can tell what an attempt before was called with.
        ["attempts", w] => text(workers::invoke(w, "add", &format!("[{}]", context::current().attempt))),
        ["invoke", w, f, args] => text(workers::invoke(w, f, args)),
        ["large", w, n] => {
            let big = "x".repeat(n.parse().unwrap());
            text(workers::invoke(w, "fail", &format!("[\"{big}\"]")))
        }
        ["start", w, f, args @ ..] => started(workers::start(w, f, &args.join(" "))),
        ["schedule", w, f, args, ms] => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
            let at = now + Duration::from_millis(ms.parse().unwrap());
            started(workers::schedule(w, f, args, at.as_nanos() as u64))
        }
        ["await", w, n] => text(workers::await_result(w, &key(n))),
        ["await-key", w, k] => text(workers::await_result(w, k)),
        ["poll", w, n] => match workers::poll(w, &key(n)) {
            Ok(Some(r)) => r,
            Ok(None) => "not yet".into(),
            Err(e) => told(e),
        },
        ["cancel", w, n] => workers::cancel(w, &key(n)).map_or_else(told, |()| "canceled".into()),
        ["spawn", w, env, settings] => {
            let options = workers::Options {
                revision: 0,
                args: vec!["spawned".into()],
                env: vec![env.to_string()],
                ephemeral: false,
                settings: settings.to_string(),
            };
            workers::spawn(w, &options).map_or_else(told, |new| new.to_string())
        }
        ["list", c] => {
            let (mut after, mut all) = (String::new(), Vec::new());
            loop {
                match workers::list_workers(c, &after) {
                    Ok(page) => {
                        all.extend(page.workers.iter().map(info));
                        if page.next.is_empty() {
                            return all.join("\n");
                        }
                        after = page.next;
                    }
                    Err(e) => return told(e),
                }
            }
        }
        ["fork", w] => match workers::fork(w) {
            Ok(workers::Side::Original(copy)) => format!("original of {copy}"),
            Ok(workers::Side::Forked(me)) => format!("forked as {me}"),
            Err(e) => told(e),
        },
        ["fail-as", name] => {
            if context::current().name == *name {
                panic!("as was asked for");
            }
            String::new()
        }
        ["choose", interface, w] => workers::choose(interface, w).map_or_else(told, |()| "chosen".into()),
        ["who"] => context::current().name,
        ["key"] => context::idempotency_key(),
        ["write", path, text] => std::fs::write(path, text).map_or_else(|e| e.to_string(), |()| String::new()),
        ["read", path] => std::fs::read_to_string(path).unwrap_or_else(|e| e.to_string()),
        ["begin"] => {
            control::begin_atomic();
            String::new()
        }
        ["end"] => {
            control::end_atomic();
            String::new()
        }
        ["waypoint"] => {
            state(|s| s.kept = control::waypoint().to_string());
            String::new()
        }
        ["back-as", name] => {
            if context::current().name == *name {
                control::go_back(state(|s| s.kept.parse().unwrap()));
            }
            String::new()
        }
        ["promise"] => {
            let made = promises::create("a promise").map_err(|e| format!("{e:?}")).unwrap();
            state(|s| s.kept = made);
            String::new()
        }
        ["complete", value] => {
            let promise = state(|s| s.kept.clone());
            promises::complete(&promise, value.as_bytes()).map_or_else(|e| format!("{e:?}"), |()| "completed".into())
        }
        ["wait"] => match promises::wait(&state(|s| s.kept.clone())) {
            Ok(promises::Outcome::Completed(value)) => String::from_utf8(value).unwrap(),
            Ok(promises::Outcome::Failed(why)) => why,
            Err(e) => e.name().to_string(),
        },
        // Does the rest as one of the two alone.
        ["as", name, rest @ ..] => {
            if context::current().name == *name { step(rest) } else { String::new() }
        }
        ["status", w] => workers::status(w).map_or_else(told, |i| info(&i)),
        // Lets many workers add 1, and gives how many have.
        ["fan", prefix, n] => {
            let n: usize = n.parse().unwrap();
            let keys: Vec<_> = (0..n)
                .map(|i| {
                    let w = format!("{prefix}{i}");
                    let key = workers::start(&w, "add", "[1]").map_err(told).unwrap();
                    (w, key)
                })
                .collect();
            let done = keys.iter().filter(|(w, k)| workers::await_result(w, k).is_ok_and(|r| r == "[\"1\"]" || r == "[1]"));
            done.count().to_string()
        }
        // The median of how long so many calls take, in microseconds.
        ["time", w, n] => {
            let mut took: Vec<_> = (0..n.parse().unwrap())
                .map(|_| {
                    let began = std::time::Instant::now();
                    workers::invoke(w, "add", "[1]").map_err(told).unwrap();
                    began.elapsed().as_micros()
                })
                .collect();
            took.sort_unstable();
            took[took.len() / 2].to_string()
        }
        _ => panic!("no step is {words:?}"),
    }
}

impl Guest for Callers {
    fn steps(script: Vec<String>) -> Vec<String> {
        script.iter().map(|s| step(&s.split(' ').collect::<Vec<_>>())).collect()
    }

    fn add(n: i64) -> i64 {
        state(|s| {
            s.count += n;
            s.count
        })
    }

    fn relay(path: Vec<String>, n: i64) -> Result<i64, String> {
        let mine = Callers::add(n);
        let Some((next, rest)) = path.split_first() else { return Ok(mine) };
        let rest: Vec<_> = rest.iter().map(|w| format!("\"{w}\"")).collect();
        let args = format!("[[{}],{n}]", rest.join(","));
        let result = workers::invoke(next, "relay", &args).map_err(told)?;
        // [{"ok":5}] or [{"error":"…"}]
        let inner = result.trim_start_matches("[{\"ok\":").trim_end_matches("}]").trim_matches('"');
        inner.parse().map(|theirs: i64| mine + theirs).map_err(|_| result)
    }

    fn fail(message: String) {
        panic!("{message}");
    }

    fn nap(milliseconds: u64) -> u64 {
        std::thread::sleep(Duration::from_millis(milliseconds));
        milliseconds
    }

    fn pay(path: Vec<String>, n: i64) -> Result<i64, String> {
        let Some((next, rest)) = path.split_first() else { return Ok(Callers::add(0)) };
        Callers::add(-n);
        let rest: Vec<_> = rest.iter().map(|w| format!("\"{w}\"")).collect();
        let paid = workers::invoke(next, "take", &format!("[[{}],{n}]", rest.join(",")));
        match paid.map_err(told) {
            Ok(r) if r.starts_with("[{\"ok\"") => Ok(Callers::add(0)),
            Ok(e) | Err(e) => {
                Callers::add(n); // nobody has it
                Err(e)
            }
        }
    }

    fn take(path: Vec<String>, n: i64) -> Result<i64, String> {
        Callers::add(n);
        Callers::pay(path, n).inspect_err(|_| {
            Callers::add(-n);
        })
    }
}
