import * as module from "waterbear:durable/promises@0.1.0";
import { attempt, engine } from "./engine.js";

const { host, integer } = engine(module);

export class Refused extends Error {
	constructor(refusal) {
		super(`the promise is refused: ${refusal}`);
		this.name = "Refused";
		this.refusal = refusal;
	}
}

const ask = (act) => attempt((refusal) => new Refused(refusal), act);

export class DurablePromise {
	constructor(name) {
		this.name = name;
	}

	static create(label) {
		return new DurablePromise(ask(() => host.create(label)));
	}

	static waitAny(promises, milliseconds) {
		const names = promises.map((p) => p.name);
		const timeout = milliseconds === undefined ? undefined : integer(milliseconds * 1e6);
		return ask(() => host.waitAny(names, timeout)) ?? undefined;
	}

	webhookUrl() {
		return ask(() => host.webhookUrl(this.name));
	}

	wait() {
		return ask(() => host.wait(this.name));
	}

	poll() {
		return ask(() => host.poll(this.name)) ?? undefined;
	}

	withdraw() {
		ask(() => host.withdraw(this.name));
	}

	complete(value) {
		ask(() => host.complete(this.name, value));
	}

	fail(message) {
		ask(() => host.fail(this.name, message));
	}
}
