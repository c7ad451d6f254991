/** Whether an effect asks something outside, or changes something. */
export type Kind = "read" | "write";

/**
 * Performs an effect, and gives its outcome, of at most 256 KiB; its name and
 * request have at most 256 KiB together. act is told how often the effect was
 * begun before and not ended: if that is not 0, a crash or a failure came while it
 * was performed, and it has to find out whether the effect took place. An error is
 * an outcome, too, and for act to encode: an exception that leaves it leaves the
 * effect open, and an invocation traps that ends then. It is not for async
 * functions.
 */
export function perform(name: string, request: Uint8Array, kind: Kind, act: (times: number) => Uint8Array): Uint8Array;

/**
 * Is perform for what observes much and comes to little: the outcome stays, and
 * what act did besides is forgotten, also in memory and files.
 */
export function performAndForget(
	name: string,
	request: Uint8Array,
	kind: Kind,
	act: (times: number) => Uint8Array,
): Uint8Array;
