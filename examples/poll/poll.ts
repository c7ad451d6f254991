// Questions to several people, of whom the first to answer decides. The decision
// is taken down by another worker.
import { current } from "waterbear/context";
import { atomic } from "waterbear/control";
import { perform } from "waterbear/effects";
import { DurablePromise, Refused } from "waterbear/promises";
import { CallError, invoke } from "waterbear/workers";

const notebook: string[] = [];

export function note(decision: string): number {
	return notebook.push(decision);
}

export const notes = (): string[] => notebook;

// What is thrown is the error of the result.
export function ask(question: string, people: string[], seconds: number): string {
	try {
		// Who repeats this makes the same promises.
		const answers = atomic(() => people.map((who) => DurablePromise.create(`${who}: ${question}`)));
		const first = DurablePromise.waitAny(answers, seconds * 1000);
		answers.forEach((answer, i) => i === first || answer.withdraw());
		if (first === undefined) throw `nobody has answered in ${seconds} s`;

		const { tag, val } = answers[first]!.wait();
		if (tag === "failed") throw `${people[first]} has not decided: ${val}`;
		const decision = `${people[first]} says ${String.fromCharCode(...val)}`;
		// What throws in here traps, and is tried again.
		perform("note", Uint8Array.of(), "write", () => {
			const count = invoke(`${current().component}/secretary`, "note", `${question} ${decision}`);
			return Uint8Array.of(Number(count));
		});
		return decision;
	} catch (why) {
		throw why instanceof Refused || why instanceof CallError ? why.message : why;
	}
}
