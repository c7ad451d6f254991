// Other workers of the platform, named `component/name`: their functions called,
// exactly once each. Arguments and results are values as JSON has them; a result
// of WIT's type result is { ok: … } or { error: … }.

/** What went wrong, for programs. */
export type Failure =
	| "invalid"
	| "no-component"
	| "no-worker"
	| "no-function"
	| "bad-arguments"
	| "too-large"
	| "key-reused"
	| "cycle"
	| "queue-full"
	| "failed"
	| "canceled"
	| "deleted"
	| "stopped"
	| "no-invocation"
	| "ended"
	| "exists";

/** Why a call has no result: what all functions here throw. */
export class CallError extends Error {
	constructor(error: { kind: Failure; message: string });
	kind: Failure;
}

/** Calls a function and waits for its result. */
export function invoke(worker: string, name: string, ...args: unknown[]): unknown;

/** Lets a function be called, and does not wait for it. */
export function start(worker: string, name: string, ...args: unknown[]): Call;

/** Is start for a call that is to begin at a time. */
export function schedule(at: Date, worker: string, name: string, ...args: unknown[]): Call;

/** A call that this worker has started, in this or an earlier invocation. */
export class Call {
	constructor(worker: string, key: string);
	readonly worker: string;
	/** The idempotency key of the call. */
	readonly key: string;
	/** Waits for the result. */
	wait(): unknown;
	/** Looks for the result, and gives undefined if the call has not ended. */
	poll(): { result: unknown } | undefined;
	/** Takes the call back, if it has not ended. */
	cancel(): void;
}

/** How a worker is made. */
export interface Options {
	/** The revision of its component; 0 for the newest. */
	revision?: number;
	/** Its arguments. */
	args?: string[];
	/** Its environment, each `KEY=VALUE`. */
	env?: string[];
	/** A fresh instance for each invocation. */
	ephemeral?: boolean;
	/** Its own settings, JSON as in REST; empty for none. */
	settings?: string;
}

/** Makes a worker; false if one was made alike already. */
export function spawn(worker: string, options?: Options): boolean;

/**
 * Makes a copy of this worker, which goes on from here as this one does, with the same
 * memory, files and history, in the same invocation: so it returns twice, in the copy
 * with `copied` set. The copy is named `component/name`, of the same component, or by its
 * name alone. Who waits for the invocation gets what the original comes to.
 */
export function fork(worker: string): { copied: boolean; worker: string };

/** A worker, as it was when it was looked at. */
export interface Info {
	worker: string;
	revision: number;
	/** Idle, Running, Suspended, Interrupted, Retrying, Failed or Exited. */
	status: string;
	/** Of the status, in words. */
	reason: string;
	/** Invocations accepted and not ended. */
	queue: number;
}

/** Lists the workers of a component, all if that is empty, up to 100 at a time. */
export function listWorkers(component?: string, after?: string): { workers: Info[]; next: string };

/** Looks at a worker. */
export function status(worker: string): Info;

/** Chooses the worker that gets the calls of an imported interface, until the invocation ends. */
export function choose(name: string, worker: string): void;
