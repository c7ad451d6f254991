// The types of kit.wit, as QuickJS has them: 64-bit integers are numbers, exact
// up to 2^53.

export type Option<T> = T | null | undefined;
export type Nested<T> = { tag: "some"; val: Option<T> } | { tag: "none" };
export type Result<T, E> = { tag: "ok"; val: T } | { tag: "err"; val: E };

export interface Point {
	x: number;
	y: number;
}

export interface Person {
	name: string;
	age: number;
	email: Option<string>;
	tags: string[];
}

export type Shape =
	| { tag: "nothing" }
	| { tag: "circle"; val: number }
	| { tag: "rectangle"; val: [number, number] }
	| { tag: "polygon"; val: Point[] }
	| { tag: "named"; val: string };

export const directions = ["north", "east", "south", "west"] as const;
export type Direction = (typeof directions)[number];

const rights = ["read", "write", "run", "find", "share", "rename", "remove", "audit", "give"] as const;
export type Rights = Record<(typeof rights)[number], boolean>;

export type ParseError =
	| { tag: "empty" }
	| { tag: "bad-digit"; val: { position: number; found: string } }
	| { tag: "overflow"; val: string };

export interface Everything {
	truth: boolean;
	unsigned8: number;
	signed8: number;
	unsigned16: number;
	signed16: number;
	unsigned32: number;
	signed32: number;
	unsigned64: number;
	signed64: number;
	float32: number;
	float64: number;
	letter: string;
	text: string;
	maybe: Option<string>;
	bytes: Uint8Array;
}

// A function whose WIT result is a result gives what is right and throws what is
// wrong.
export interface Values {
	birthday(who: Person): Person;
	sort(people: Person[]): Person[];
	areas(shapes: Shape[]): number[];
	scale(what: Shape, factor: number): Shape;
	turn(from: Direction, quarters: number): Direction;
	walk(steps: Direction[]): [number, number];
	grant(has: Rights, more: Rights): Rights;
	divide(dividend: number, divisor: number): number;
	parse(text: string): number;
	check(holds: boolean): void;
	sum(numbers: number[]): number;
	reverse(bytes: Uint8Array): Uint8Array;
	mirror(text: string): string;
	repeat(text: string, times: number): string;
	split(text: string, separator: string): string[];
	join(parts: string[], separator: string): string;
	transpose(rows: number[][]): number[][];
	count(words: string[]): [string, number][];
	swap(pair: [string, number]): [number, string];
	flip(outcome: Result<string[], number>): number;
	wrap(value: Option<number>): Nested<number>;
	unwrap(value: Nested<number>): Option<number>;
	pack(
		truth: boolean,
		unsigned8: number,
		signed8: number,
		unsigned16: number,
		signed16: number,
		unsigned32: number,
		signed32: number,
		unsigned64: number,
		signed64: number,
		float32: number,
		float64: number,
		letter: string,
		text: string,
		maybe: Option<string>,
		bytes: Uint8Array,
	): Everything;
}
