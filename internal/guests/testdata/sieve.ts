// A library that has done its work before it is called: in its start section.
const primes: i32[] = [];
for (let n = 2; primes.length < 2000; n++) {
  let prime = true;
  for (let i = 0; prime && i < primes.length && primes[i] * primes[i] <= n; i++) {
    prime = n % primes[i] != 0;
  }
  if (prime) primes.push(n);
}

let asked = 0;

// nth gives a prime: the first is the 0th.
export function nth(i: i32): i32 {
  asked++;
  return primes[i];
}

// count tells how often nth was called.
export function count(): i32 {
  return asked;
}
