//! A library that does what it is told with wasi:keyvalue, and keeps a bucket and a
//! compare-and-swap open from one call to the next.

wit_bindgen::generate!({
    path: ["wit/deps/keyvalue.wit", "wit/deps/keyvalue-first.wit", "wit/kept.wit"],
    world: "waterbear:kept/kept",
    generate_all,
});

use std::cell::RefCell;

use wasi::keyvalue0_2_0_draft as first;
use wasi::keyvalue0_2_0_draft2 as second;

use second::atomics::{increment, swap, Cas, CasError};
use second::store::{open, Bucket};

struct Kept;

export!(Kept);

thread_local! {
    static OPEN: RefCell<Option<(String, Bucket)>> = const { RefCell::new(None) };
    static CAS: RefCell<Option<Cas>> = const { RefCell::new(None) };
}

fn text(value: Option<Vec<u8>>) -> String {
    value.map_or("-".into(), |v| if v.len() > 100 { format!("{} bytes", v.len()) } else { String::from_utf8_lossy(&v).into_owned() })
}

/// What a step comes to, or why it does not.
fn step(bucket: &Bucket, name: &str, script: &str) -> Result<String, String> {
    let words: Vec<&str> = script.split(' ').collect();
    let (verb, key) = (words[0], words.get(1).copied().unwrap_or(""));
    let value = words.get(2).copied().unwrap_or("");
    let pairs = || words[1..].chunks(2).map(|p| (p[0].to_string(), p[1].as_bytes().to_vec())).collect::<Vec<_>>();
    let keys = || words[1..].iter().map(|k| k.to_string()).collect::<Vec<_>>();
    let failed = |e: second::store::Error| format!("{e:?}");
    Ok(match verb {
        "get" => text(bucket.get(key).map_err(failed)?),
        "set" => bucket.set(key, value.as_bytes()).map(|()| "set".into()).map_err(failed)?,
        "fill" => bucket.set(key, &vec![b'x'; value.parse().unwrap()]).map(|()| "set".into()).map_err(failed)?,
        "delete" => bucket.delete(key).map(|()| "deleted".into()).map_err(failed)?,
        "exists" => bucket.exists(key).map_err(failed)?.to_string(),
        "keys" => {
            let r = bucket.list_keys(words.get(1).copied()).map_err(failed)?;
            format!("{} {:?}", r.keys.join(","), r.cursor)
        }
        "add" => increment(bucket, key, value.parse().unwrap()).map_err(failed)?.to_string(),
        "cas" => {
            let cas = Cas::new(bucket, key).map_err(failed)?;
            let current = text(cas.current().map_err(failed)?);
            CAS.set(Some(cas));
            current
        }
        "swap" => match swap(CAS.take().unwrap(), key.as_bytes()) {
            Ok(()) => "swapped".into(),
            Err(CasError::StoreError(e)) => return Err(failed(e)),
            Err(CasError::CasFailed(cas)) => {
                CAS.set(Some(cas));
                "failed".into()
            }
        },
        "get-many" => second::batch::get_many(bucket, &keys()).map_err(failed)?.into_iter()
            .map(|v| v.map_or("-".into(), |(k, v)| format!("{k}={}", text(Some(v))))).collect::<Vec<_>>().join(","),
        "set-many" => second::batch::set_many(bucket, &pairs()).map(|()| "set".into()).map_err(failed)?,
        "delete-many" => second::batch::delete_many(bucket, &keys()).map(|()| "deleted".into()).map_err(failed)?,
        "first" => {
            // The first draft sees the same.
            let failed = |e: first::store::Error| format!("{e:?}");
            let bucket = first::store::open(name).map_err(failed)?;
            let sum = first::atomics::increment(&bucket, key, value.parse().unwrap()).map_err(failed)?;
            let r = bucket.list_keys(Some(1)).map_err(failed)?;
            format!("{sum} {} {:?}", r.keys.join(","), r.cursor)
        }
        _ => panic!("no step is called {verb}"),
    })
}

impl Guest for Kept {
    fn steps(bucket: String, script: Vec<String>) -> Vec<String> {
        let (name, open) = match OPEN.take() {
            Some((name, b)) if name == bucket => (name, b),
            _ => match open(&bucket) {
                Ok(b) => (bucket, b),
                Err(e) => return vec![format!("{e:?}")],
            },
        };
        let results = script.iter().map(|s| step(&open, &name, s).unwrap_or_else(|e| e)).collect();
        OPEN.set(Some((name, open)));
        results
    }
}
