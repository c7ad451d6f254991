// The world kit on QuickJS, which has no console here.
import stdout from "wasi:cli/stdout@0.2.12";
import { makeKit } from "./kit.js";

export const { values, counters, add, total, remember, recall, fail } = makeKit(Number);

export function say(line) {
	// Strings have no encoder here either.
	const escaped = unescape(encodeURIComponent(line + "\n"));
	const bytes = Uint8Array.from(escaped, (c) => c.charCodeAt(0));
	const out = stdout.getStdout();
	for (let i = 0; i < bytes.length; i += 4096) {
		out.blockingWriteAndFlush(bytes.subarray(i, i + 4096));
	}
	out[Symbol.dispose]();
}
