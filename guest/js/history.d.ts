/** One thing that happened. */
export interface Entry {
	/** Its place in the oplog, from 1. */
	index: number;
	/** When it became durable. */
	at: Date;
	/** Its kind, such as `HostCall`. */
	kind: string;
	/** Its fields as JSON; empty if they have more than 32 KiB. */
	json: string;
}

/**
 * Gives entries of the worker's oplog, from one index to another, inclusive; 0
 * stands for the newest. Kinds, if any are named, choose among them. A page has at
 * most 100 entries; next is where to go on, and 0 if nothing is left.
 */
export function entries(from: number, to?: number, kinds?: string[]): { entries: Entry[]; next: number };
