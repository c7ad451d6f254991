import * as module from "waterbear:durable/context@0.1.0";
import { engine } from "./engine.js";

const { host } = engine(module);

export function current() {
	const { component, name, revision, created, invocation, attempt } = host.current();
	return {
		component,
		name,
		revision: Number(revision),
		created: new Date(Number(created) / 1e6),
		invocation,
		attempt: Number(attempt),
	};
}

export const idempotencyKey = () => host.idempotencyKey();
