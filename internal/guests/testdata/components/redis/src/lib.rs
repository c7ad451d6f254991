//! A library that counts in Redis. The client is the crate redis, which knows nothing
//! of Waterbear: when the connection is lost, it says so, and the program connects
//! again.

use std::cell::RefCell;

use redis::{Client, Connection, RedisResult, Value};

wit_bindgen::generate!({ path: "wit", world: "counting" });

struct Component;

export!(Component);

thread_local! {
    static KEPT: RefCell<(Option<Connection>, u32)> = const { RefCell::new((None, 0)) };
}

/// ATTEMPTS is how often a key is counted over a new connection.
const ATTEMPTS: u32 = 5;

/// COUNT counts a key that is not known yet.
const COUNT: &str = "if redis.call('SADD', KEYS[1], ARGV[1]) == 1 then redis.call('INCR', KEYS[2]) end return redis.call('GET', KEYS[2])";

impl Guest for Component {
    fn count(database: String, key: String) -> Result<u64, String> {
        KEPT.with_borrow_mut(|(connection, made)| {
            let mut last = String::new();
            for _ in 0..ATTEMPTS {
                match attempt(connection, made, &database, &key) {
                    Ok(n) => return Ok(n),
                    Err(e) => {
                        *connection = None;
                        last = e.to_string();
                    }
                }
            }
            Err(last)
        })
    }

    fn connections() -> u32 {
        KEPT.with_borrow(|(_, made)| *made)
    }
}

fn attempt(connection: &mut Option<Connection>, made: &mut u32, database: &str, key: &str) -> RedisResult<u64> {
    if connection.is_none() {
        *connection = Some(Client::open(database)?.get_connection()?);
        *made += 1;
    }
    let to = connection.as_mut().expect("a connection");
    let n: Value = redis::cmd("EVAL").arg(COUNT).arg(2).arg("counted").arg("total").arg(key).query(to)?;
    redis::from_redis_value(&n)
}
