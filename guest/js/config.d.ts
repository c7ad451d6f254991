// The configuration and the secrets that the operator gives to the component. The
// error says why nothing could be read.

/** Gives a value, or undefined if there is no such name. */
export function get(name: string): string | undefined;

/** Gives all names and values, in the order of the names. */
export function getAll(): [name: string, value: string][];
