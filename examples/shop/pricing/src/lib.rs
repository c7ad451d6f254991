//! A worker that knows what things cost. It knows nothing of Waterbear.

wit_bindgen::generate!({ path: "wit", world: "shop:pricing/pricing", generate_all });

use std::cell::RefCell;
use std::collections::BTreeMap;

use exports::shop::pricing::api::{Guest, Offer};

struct Pricing;

export!(Pricing);

thread_local!(static OFFERS: RefCell<BTreeMap<String, Offer>> = const { RefCell::new(BTreeMap::new()) });

impl Guest for Pricing {
    fn set_price(item: String, cents: u32) {
        OFFERS.with_borrow_mut(|o| {
            o.insert(item.clone(), Offer { item, cents, asked: 0 });
        });
    }

    fn price(item: String) -> Option<Offer> {
        OFFERS.with_borrow_mut(|offers| {
            let offer = offers.get_mut(&item)?;
            offer.asked += 1;
            Some(offer.clone())
        })
    }
}
