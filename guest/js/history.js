import * as module from "waterbear:durable/history@0.1.0";
import { engine } from "./engine.js";

const { host, integer } = engine(module);

export function entries(from, to = 0, kinds = []) {
	const page = host.entries(integer(from), integer(to), kinds);
	return {
		entries: page.entries.map(({ index, at, kind, json }) => ({
			index: Number(index),
			at: new Date(Number(at) / 1e6),
			kind,
			json,
		})),
		next: Number(page.next),
	};
}
