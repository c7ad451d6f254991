// The world kit on StarlingMonkey.
import { makeKit } from "./kit.js";

export const { values, counters, add, total, remember, recall, fail } = makeKit(BigInt);

export function say(line) {
	console.log(line);
}
