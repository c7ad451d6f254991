/** A worker, and what it does. */
export interface Identity {
	/** The component that was deployed; `run` under `waterbear run`. */
	component: string;
	/** The worker's name within the component. */
	name: string;
	/** The revision of the component; 0 under `waterbear run`. */
	revision: number;
	/** When the worker was created. */
	created: Date;
	/** The idempotency key of the invocation; empty while the worker is initialized. */
	invocation: string;
	/** Which attempt of the invocation this is, from 1. */
	attempt: number;
}

/** Says who the program is. */
export function current(): Identity;

/**
 * Makes a key for a call that must not take effect twice: another one each time,
 * and the same one whenever the program comes here again, after a crash or in the
 * next attempt.
 */
export function idempotencyKey(): string;
