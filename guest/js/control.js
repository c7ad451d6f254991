import * as module from "waterbear:durable/control@0.1.0";
import { engine } from "./engine.js";

const { host, integer } = engine(module);

export class Waypoint {
	#place;

	constructor(place) {
		this.#place = place;
	}

	static here() {
		return new Waypoint(host.waypoint());
	}

	goBack() {
		host.goBack(this.#place);
		throw new Error("the host has not gone back");
	}

	repeats() {
		return Number(host.repeats(this.#place));
	}
}

export function atomic(act) {
	const begin = new Waypoint(host.beginAtomic());
	try {
		return act(begin);
	} finally {
		host.endAtomic();
	}
}

export const commit = () => host.commit();
export const setIdempotence = (on) => host.setIdempotence(on);
export const idempotence = () => host.idempotence();

export function getRetryPolicy() {
	const { attempts, initial, max, factor, jitter } = host.getRetryPolicy();
	return { attempts: Number(attempts), initial: Number(initial) / 1e6, max: Number(max) / 1e6, factor, jitter };
}

export function setRetryPolicy({ attempts, initial, max, factor, jitter }) {
	host.setRetryPolicy({
		attempts: integer(attempts),
		initial: integer(initial * 1e6),
		max: integer(max * 1e6),
		factor,
		jitter,
	});
}
