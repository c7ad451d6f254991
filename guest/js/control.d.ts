/** A place in the program's run that it can be taken back to. */
export class Waypoint {
	private constructor();
	/** Makes this place one. Only the newest 1000 of an attempt can be gone back to. */
	static here(): Waypoint;
	/** Goes back: memory, files and everything else are as they were there. */
	goBack(): never;
	/** How often this attempt was taken back to here, by whatever. */
	repeats(): number;
}

/**
 * Runs an atomic region: if a crash or a trap comes before it returns, the program
 * goes on from its beginning, where the waypoint is. An exception that leaves it
 * is a result like any other, and ends it. It is not for async functions.
 */
export function atomic<T>(act: (begin: Waypoint) => T): T;

/** Returns when all that the program has done so far is durable. */
export function commit(): void;

/** Says whether requests that are in doubt after a crash may be sent again. */
export function setIdempotence(on: boolean): void;

/** Tells what setIdempotence has said. */
export function idempotence(): boolean;

/** When and how often an attempt, or an atomic region, that failed is tried again. */
export interface RetryPolicy {
	/** In all, the first included; from 1 to 1000000. */
	attempts: number;
	/** The pause before the second, in milliseconds; from 1 to a year. */
	initial: number;
	/** The longest pause, in milliseconds; not below the first, to a year. */
	max: number;
	/** By how much each pause is longer than the one before; from 1 to 1000. */
	factor: number;
	/** The part of each pause that is left to chance; from 0 to 1. */
	jitter: number;
}

/** The policy that holds now. */
export function getRetryPolicy(): RetryPolicy;

/** Sets the policy that decides if this attempt fails. What is out of range traps. */
export function setRetryPolicy(policy: RetryPolicy): void;
