//! What the host's interface is used for.

use std::cell::RefCell;

use crate::waterbear::kit::host::log;
use crate::waterbear::kit::levels::Level;
use crate::Bucket;

thread_local! {
    pub static HELD: RefCell<Option<Bucket>> = const { RefCell::new(None) };
}

pub fn fill(name: &str, entries: Vec<(String, Vec<u8>)>) -> Result<Vec<String>, String> {
    let bucket = Bucket::new(name);
    for (key, value) in entries {
        log(Level::Debug, &key);
        bucket
            .put(&key, &value)
            .inspect_err(|why| log(Level::Warning, why))?;
    }
    Ok(bucket.keys())
}

pub fn look_up(name: &str, key: &str) -> Option<Vec<u8>> {
    match Bucket::open(name) {
        Ok(bucket) => bucket.get(key),
        Err(why) => {
            log(Level::Error, &why);
            None
        }
    }
}

pub fn weigh(bucket: &Bucket) -> u64 {
    let values = bucket.keys().into_iter().filter_map(|key| bucket.get(&key));
    values.map(|value| value.len() as u64).sum()
}
