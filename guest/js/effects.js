import * as module from "waterbear:durable/effects@0.1.0";
import { engine } from "./engine.js";

const { host } = engine(module);

function run(name, request, kind, act, end) {
	const begun = host.begin(name, request, kind);
	if (begun.tag === "done") return begun.val;
	const outcome = act(Number(begun.val));
	end(outcome);
	return outcome;
}

export const perform = (name, request, kind, act) => run(name, request, kind, act, (outcome) => host.end(outcome));
export const performAndForget = (name, request, kind, act) =>
	run(name, request, kind, act, (outcome) => host.endAndForget(outcome));
