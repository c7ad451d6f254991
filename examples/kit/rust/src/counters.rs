//! The resource that the kit exports.

use std::cell::Cell;

use crate::exports::waterbear::kit::counters::{Counter, CounterBorrow, Guest, GuestCounter};
use crate::Kit;

pub struct Count(Cell<i64>);

impl GuestCounter for Count {
    fn new(start: i64) -> Self {
        Count(Cell::new(start))
    }

    fn add(&self, n: i64) -> i64 {
        self.0.replace(self.0.get().wrapping_add(n))
    }

    fn value(&self) -> i64 {
        self.0.get()
    }

    fn merge(a: Counter, b: Counter) -> Counter {
        let both = a.get::<Count>().value().wrapping_add(b.get::<Count>().value());
        Counter::new(Count::new(both))
    }
}

impl Guest for Kit {
    type Counter = Count;

    fn difference(a: CounterBorrow<'_>, b: CounterBorrow<'_>) -> i64 {
        a.get::<Count>().value().wrapping_sub(b.get::<Count>().value())
    }

    fn sum(of: Vec<CounterBorrow<'_>>) -> i64 {
        let values = of.iter().map(|counter| counter.get::<Count>().value());
        values.fold(0, i64::wrapping_add)
    }
}
