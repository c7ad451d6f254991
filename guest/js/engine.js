// The engines differ in how they give a component what it imports. QuickJS
// (componentize-qjs) has an interface as the default export of a module, 64-bit
// integers as numbers, and throws the error of a result as it is. StarlingMonkey
// (componentize-js) has a function per export, bigints, and throws an error that
// has it as its payload. Here numbers go in and out: those of more than 2^53 lose
// their last digits, which are nanoseconds of times.

// engine gives the functions of an interface, and what makes its integers.
export function engine(module) {
	const host = module.default;
	return host ? { host, integer: Math.round } : { host: module, integer: (n) => BigInt(Math.round(n)) };
}

// attempt gives what act gives. What it throws, a result's error, goes through
// explain; an error of the engine stays what it is.
export function attempt(explain, act) {
	try {
		return act();
	} catch (thrown) {
		const why = thrown?.payload ?? thrown;
		throw why instanceof Error ? why : explain(why);
	}
}
