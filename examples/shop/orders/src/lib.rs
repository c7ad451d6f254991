//! A worker that orders things at the prices of another one. It imports that one's
//! interface, and calls it like any function; what it only knows the name of, it
//! calls by names and JSON.

wit_bindgen::generate!({
    path: ["../../../wit/durable", "wit"],
    world: "shop:orders/orders",
    generate_all,
});

use std::cell::Cell;

use shop::pricing::api;
use waterbear::durable::workers;

struct Orders;

export!(Orders);

thread_local!(static TOTAL: Cell<u64> = const { Cell::new(0) });

impl Guest for Orders {
    fn order(item: String, count: u32) -> Result<u64, String> {
        let offer = api::price(&item).ok_or_else(|| format!("{item} is not sold"))?;
        let cents = u64::from(offer.cents) * u64::from(count);
        TOTAL.set(TOTAL.get() + cents);
        Ok(cents)
    }

    fn order_from(pricing: String, item: String, count: u32) -> Result<u64, String> {
        workers::choose("shop:pricing/api", &pricing).map_err(|e| e.message)?;
        Self::order(item, count)
    }

    fn total() -> u64 {
        TOTAL.get()
    }

    fn compare(other: String) -> String {
        match workers::invoke(&other, "total", "[]") {
            Ok(result) => format!("mine {}, theirs {}", TOTAL.get(), result.trim_matches(['[', ']'])),
            Err(e) => format!("mine {}, and theirs is not known: {}", TOTAL.get(), e.message),
        }
    }

    fn everybody(others: Vec<String>, item: String) -> u64 {
        let args = format!("[\"{item}\",1]");
        let started: Vec<_> = others
            .iter()
            .filter_map(|w| workers::start(w, "order", &args).ok().map(|key| (w, key)))
            .collect();
        started
            .iter()
            .filter_map(|(w, key)| workers::await_result(w, key).ok())
            .filter_map(|r| r.trim_start_matches("[{\"ok\":").trim_end_matches("}]").trim_matches('"').parse::<u64>().ok())
            .sum()
    }
}
