import * as module from "waterbear:durable/workers@0.1.0";
import { attempt, engine } from "./engine.js";

const { host, integer } = engine(module);

export class CallError extends Error {
	constructor({ kind, message }) {
		super(message);
		this.name = "CallError";
		this.kind = kind;
	}
}

const ask = (act) => attempt((error) => new CallError(error), act);

// A function without a result gives an empty array.
const result = (json) => JSON.parse(json)[0];

export class Call {
	constructor(worker, key) {
		this.worker = worker;
		this.key = key;
	}

	wait() {
		return result(ask(() => host.awaitResult(this.worker, this.key)));
	}

	poll() {
		const json = ask(() => host.poll(this.worker, this.key)) ?? undefined;
		return json === undefined ? undefined : { result: result(json) };
	}

	cancel() {
		ask(() => host.cancel(this.worker, this.key));
	}
}

export const invoke = (worker, name, ...args) => result(ask(() => host.invoke(worker, name, JSON.stringify(args))));

export const start = (worker, name, ...args) =>
	new Call(worker, ask(() => host.start(worker, name, JSON.stringify(args))));

export const schedule = (at, worker, name, ...args) =>
	new Call(worker, ask(() => host.schedule(worker, name, JSON.stringify(args), integer(Math.max(0, at.getTime()) * 1e6))));

export function spawn(worker, { revision = 0, args = [], env = [], ephemeral = false, settings = "" } = {}) {
	return ask(() => host.spawn(worker, { revision: integer(revision), args, env, ephemeral, settings }));
}

export function fork(worker) {
	const { tag, val } = ask(() => host.fork(worker));
	return { copied: tag === "forked", worker: val };
}

const info = ({ worker, revision, status, reason, queue }) => ({
	worker,
	revision: Number(revision),
	status,
	reason,
	queue: Number(queue),
});

export function listWorkers(component = "", after = "") {
	const { workers, next } = ask(() => host.listWorkers(component, after));
	return { workers: workers.map(info), next };
}

export const status = (worker) => info(ask(() => host.status(worker)));

export const choose = (name, worker) => ask(() => host.choose(name, worker));
