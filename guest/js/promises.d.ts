/** Why something is not done. */
export type Refusal = "unsupported" | "unknown" | "settled" | "too-many" | "too-large" | "invalid";

/** What all functions here throw for what is not done. */
export class Refused extends Error {
	constructor(refusal: Refusal);
	refusal: Refusal;
}

/** What has become of a promise. */
export type Outcome = { tag: "completed"; val: Uint8Array } | { tag: "failed"; val: string };

/**
 * A value that is not there yet, with a durable name that can be given to anybody.
 * Whoever knows the name can settle the promise, once. Waiting for it takes no
 * memory, however long it is.
 */
export class DurablePromise {
	/** The promise of a name, COMPONENT/WORKER/PROMISE, of this worker or another. */
	constructor(name: string);
	readonly name: string;

	/** Makes a promise. The label, of at most 256 bytes, says to people what it is for. */
	static create(label: string): DurablePromise;

	/**
	 * Waits for the first of some of this worker's promises, at most 1024 of them.
	 * Gives its place, or undefined when the time is over.
	 */
	static waitAny(promises: DurablePromise[], milliseconds?: number): number | undefined;

	/** Gives a URL by which anybody can complete it, once, with the body of a POST. */
	webhookUrl(): string;

	/** Waits for this worker's promise. */
	wait(): Outcome;

	/** Tells what has become of this worker's promise, if anything has yet. */
	poll(): Outcome | undefined;

	/** Makes that nobody can settle this worker's promise any more. */
	withdraw(): void;

	/** Completes the promise, of any worker, with at most 256 KiB. */
	complete(value: Uint8Array): void;

	/** Lets the promise, of any worker, fail. */
	fail(message: string): void;
}
