// The world kit in TypeScript, on QuickJS.
import stdout from "wasi:cli/stdout@0.2.12";
import { directions, type Direction, type ParseError, type Shape, type Values } from "./types.js";

const moves: Record<Direction, [east: number, north: number]> = {
	north: [0, 1],
	east: [1, 0],
	south: [0, -1],
	west: [-1, 0],
};

function area(shape: Shape): number {
	switch (shape.tag) {
		case "circle":
			return Math.PI * shape.val ** 2;
		case "rectangle":
			return shape.val[0] * shape.val[1];
		case "polygon": {
			const corners = shape.val;
			const twice = corners.reduce((sum, p, i) => {
				const next = corners[(i + 1) % corners.length]!;
				return sum + p.x * next.y - next.x * p.y;
			}, 0);
			return Math.abs(twice) / 2;
		}
		default:
			return 0;
	}
}

function scale(shape: Shape, factor: number): Shape {
	switch (shape.tag) {
		case "circle":
			return { tag: "circle", val: shape.val * factor };
		case "rectangle":
			return { tag: "rectangle", val: [shape.val[0] * factor, shape.val[1] * factor] };
		case "polygon":
			return { tag: "polygon", val: shape.val.map(({ x, y }) => ({ x: x * factor, y: y * factor })) };
		default:
			return shape;
	}
}

function parse(text: string): number {
	const fail = (why: ParseError): never => {
		throw why;
	};
	if (text === "") fail({ tag: "empty" });
	const characters = [...text];
	const position = characters.findIndex((c) => c < "0" || c > "9");
	if (position >= 0) fail({ tag: "bad-digit", val: { position, found: characters[position]! } });
	const value = BigInt(text);
	if (value >= 2n ** 64n) fail({ tag: "overflow", val: text });
	return Number(value);
}

export const values: Values = {
	birthday: (who) => ({ ...who, age: Math.min(who.age + 1, 255), tags: [...who.tags, "birthday"] }),
	sort: (people) => people.sort((a, b) => a.age - b.age),
	areas: (shapes) => shapes.map(area),
	scale,
	turn: (from, quarters) => directions[(((directions.indexOf(from) + quarters) % 4) + 4) % 4]!,
	walk: (steps) =>
		steps.map((step) => moves[step]).reduce(([east, north], [e, n]) => [east + e, north + n], [0, 0]),
	grant(has, more) {
		const all = { ...has };
		for (const right of Object.keys(more) as (keyof typeof more)[]) all[right] ||= more[right];
		return all;
	},
	divide(dividend, divisor) {
		if (divisor === 0) throw "division by zero";
		const quotient = Math.trunc(dividend / divisor);
		if (quotient > 2 ** 31 - 1) throw "overflow";
		return quotient;
	},
	parse,
	check(holds) {
		if (!holds) throw undefined;
	},
	sum: (numbers) => numbers.reduce((sum, n) => sum + n, 0),
	reverse: (bytes) => bytes.reverse(),
	mirror: (text) => [...text].reverse().join(""),
	repeat: (text, times) => text.repeat(times),
	split: (text, separator) => text.split(separator),
	join: (parts, separator) => parts.join(separator),
	transpose: (rows) => (rows[0] ?? []).map((_, column) => rows.map((row) => row[column]!)),
	count(words) {
		const counts = new Map<string, number>();
		for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
		return [...counts];
	},
	swap: ([text, number]) => [number, text],
	flip(outcome) {
		if (outcome.tag === "ok") throw outcome.val;
		return outcome.val;
	},
	wrap: (value) => ({ tag: "some", val: value }),
	unwrap: (value) => (value.tag === "some" ? value.val : null),
	pack: (truth, unsigned8, signed8, unsigned16, signed16, unsigned32, signed32, unsigned64, signed64,
		float32, float64, letter, text, maybe, bytes) => ({ truth, unsigned8, signed8, unsigned16, signed16,
		unsigned32, signed32, unsigned64, signed64, float32, float64, letter, text, maybe, bytes }),
};

class Counter {
	constructor(private count: number) {}

	add(n: number): number {
		const before = this.count;
		this.count += n;
		return before;
	}

	value(): number {
		return this.count;
	}

	static merge(a: Counter, b: Counter): Counter {
		return new Counter(a.count + b.count);
	}
}

export const counters = {
	Counter,
	difference: (a: Counter, b: Counter): number => a.value() - b.value(),
	sum: (of: Counter[]): number => of.reduce((sum, counter) => sum + counter.value(), 0),
};

let sum = 0;
const lines: string[] = [];

export const add = (n: number): number => (sum += n);
export const total = (): number => sum;
export const remember = (line: string): number => lines.push(line);
export const recall = (): string[] => lines;

export function say(line: string): void {
	// QuickJS has neither console nor TextEncoder here.
	const escaped = unescape(encodeURIComponent(line + "\n"));
	const bytes = Uint8Array.from(escaped, (c) => c.charCodeAt(0));
	const out = stdout.getStdout();
	for (let i = 0; i < bytes.length; i += 4096) {
		out.blockingWriteAndFlush(bytes.subarray(i, i + 4096));
	}
	out[Symbol.dispose]();
}

export function fail(why: string): never {
	throw new Error(why);
}
