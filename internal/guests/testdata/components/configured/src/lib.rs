//! A library that tells what it has been configured to be.

wit_bindgen::generate!({
    path: ["wit/deps/config.wit", "wit/deps/logging.wit", "../../../../../wit/durable", "wit/configured.wit"],
    world: "waterbear:configured/configured",
    generate_all,
});

use std::{thread::sleep, time::Duration};

use wasi::config::store;
use wasi::logging::logging::{log, Level};
use waterbear::durable::config;

struct Configured;

export!(Configured);

impl Guest for Configured {
    fn get(names: Vec<String>, pause: u64) -> Vec<Option<String>> {
        let mut values = Vec::new();
        for name in names {
            values.push(match store::get(&name) {
                Ok(value) => value,
                Err(error) => Some(format!("error: {error:?}")),
            });
            sleep(Duration::from_millis(pause));
        }
        values
    }

    fn all() -> Result<Vec<(String, String)>, String> {
        config::get_all()
    }

    fn tell(name: String) {
        let value = store::get(&name).unwrap().unwrap();
        log(Level::Warn, "tell", &format!("it is {value}\nand no more"));
        panic!("it is {value}");
    }
}
