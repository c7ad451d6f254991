//! Counts primes for a long time: a sieve of Eratosthenes, a segment at a
//! time, that prints after each segment how far it is. What it finds is
//! compared with the counts of primes below powers of ten that are known.
//!
//!     primes [segments [numbers per segment]]

use std::env;
use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

/// The counts of primes up to powers of ten (OEIS A006880).
const KNOWN: [(u64, u64); 7] = [
    (10_000, 1_229),
    (100_000, 9_592),
    (1_000_000, 78_498),
    (10_000_000, 664_579),
    (100_000_000, 5_761_455),
    (1_000_000_000, 50_847_534),
    (10_000_000_000, 455_052_511),
];

/// What has been found up to a number.
struct Found {
    upto: u64,
    count: u64,
    twins: u64,
    last: u64,
    widest: u64,
    digest: u64,
}

impl Found {
    fn new() -> Self {
        // The sieve is of odd numbers, so 2 is found already.
        Found { upto: 2, count: 1, twins: 0, last: 2, widest: 1, digest: 2 }
    }

    fn add(&mut self, prime: u64) {
        let gap = prime - self.last;
        self.count += 1;
        self.twins += u64::from(gap == 2);
        self.widest = self.widest.max(gap);
        self.digest = (self.digest ^ prime).wrapping_mul(0x0000_0100_0000_01b3);
        self.last = prime;
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "up to {}: {} primes, {} twins, widest gap {}, last {}, digest {:016x}",
            self.upto, self.count, self.twins, self.widest, self.last, self.digest
        )
    }
}

/// A segmented sieve: `primes` are those up to the root of where it is, each
/// with the next odd multiple to strike.
struct Sieve {
    primes: Vec<(u64, u64)>,
    struck: Vec<bool>,
}

impl Sieve {
    fn new() -> Self {
        Sieve { primes: Vec::new(), struck: Vec::new() }
    }

    /// Makes sure that all odd primes p with p*p <= upto are known.
    fn extend_roots(&mut self, upto: u64) {
        let mut candidate = self.primes.last().map_or(3, |&(p, _)| p + 2);
        while candidate * candidate <= upto {
            let is_prime = self
                .primes
                .iter()
                .map(|&(p, _)| p)
                .take_while(|p| p * p <= candidate)
                .all(|p| candidate % p != 0);
            if is_prime {
                self.primes.push((candidate, candidate * candidate));
            }
            candidate += 2;
        }
    }

    /// Sieves the odd numbers in (found.upto, found.upto + length].
    fn segment(&mut self, length: u64, found: &mut Found) {
        let first = (found.upto + 1) | 1;
        let upto = if found.upto == 2 { length } else { found.upto + length };
        self.extend_roots(upto);
        let odds = ((upto + 1).saturating_sub(first)).div_ceil(2);
        self.struck.clear();
        self.struck.resize(odds as usize, false);
        for (p, next) in &mut self.primes {
            let mut i = (*next - first) / 2;
            while i < odds {
                self.struck[i as usize] = true;
                i += *p;
            }
            *next = first + 2 * i;
        }
        for (i, struck) in self.struck.iter().enumerate() {
            if !struck {
                found.add(first + 2 * i as u64);
            }
        }
        found.upto = upto;
    }
}

fn number(argument: Option<String>, otherwise: u64) -> Result<u64, String> {
    match argument {
        None => Ok(otherwise),
        Some(text) => match text.parse() {
            Ok(n) if (10..=10_000_000).contains(&n) => Ok(n),
            _ => Err(format!("{text} is not a number from 10 to 10000000")),
        },
    }
}

fn count(mut args: impl Iterator<Item = String>) -> Result<(), String> {
    let segments = number(args.next(), 200)?;
    let length = number(args.next(), 2_500_000)?;
    let mut sieve = Sieve::new();
    let mut found = Found::new();
    let mut out = io::stdout().lock();
    for _ in 0..segments {
        sieve.segment(length, &mut found);
        writeln!(out, "{found}").map_err(|e| e.to_string())?;
        if let Some((_, known)) = KNOWN.iter().find(|(n, _)| *n == found.upto) {
            if found.count != *known {
                return Err(format!("there are {known} primes up to {}, not {}", found.upto, found.count));
            }
            writeln!(out, "which is known to be so").map_err(|e| e.to_string())?;
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    match count(env::args().skip(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("primes: {why}");
            ExitCode::FAILURE
        }
    }
}
