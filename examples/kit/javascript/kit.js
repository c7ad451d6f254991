// The functions of the world kit, for any engine. StarlingMonkey has 64-bit
// integers as BigInt, QuickJS as numbers, which are exact up to 2^53: integer64
// is the one or the other, and arithmetic stays within one kind.

const directions = ["north", "east", "south", "west"];

function area(shape) {
	switch (shape.tag) {
		case "circle":
			return Math.PI * shape.val * shape.val;
		case "rectangle":
			return shape.val[0] * shape.val[1];
		case "polygon": {
			let twice = 0;
			shape.val.forEach((p, i, corners) => {
				const next = corners[(i + 1) % corners.length];
				twice += p.x * next.y - next.x * p.y;
			});
			return Math.abs(twice) / 2;
		}
		default:
			return 0;
	}
}

function scale(shape, factor) {
	switch (shape.tag) {
		case "circle":
			return { tag: "circle", val: shape.val * factor };
		case "rectangle":
			return { tag: "rectangle", val: shape.val.map((side) => side * factor) };
		case "polygon":
			return { tag: "polygon", val: shape.val.map((p) => ({ x: p.x * factor, y: p.y * factor })) };
		default:
			return shape;
	}
}

export function makeKit(integer64) {
	function parse(text) {
		if (text === "") throw { tag: "empty" };
		let position = 0;
		for (const found of text) {
			if (found < "0" || found > "9") throw { tag: "bad-digit", val: { position, found } };
			position++;
		}
		const value = BigInt(text);
		if (value > 0xffffffffffffffffn) throw { tag: "overflow", val: text };
		return integer64(value);
	}

	const values = {
		birthday(who) {
			return { ...who, age: Math.min(who.age + 1, 255), tags: [...who.tags, "birthday"] };
		},
		sort: (people) => people.toSorted((a, b) => a.age - b.age),
		areas: (shapes) => shapes.map(area),
		scale,
		turn(from, quarters) {
			const to = (directions.indexOf(from) + quarters) % 4;
			return directions[(to + 4) % 4];
		},
		walk(steps) {
			let east = 0;
			let north = 0;
			for (const step of steps) {
				if (step === "north") north++;
				if (step === "south") north--;
				if (step === "east") east++;
				if (step === "west") east--;
			}
			return [east, north];
		},
		grant(has, more) {
			const all = { ...has };
			for (const right in more) all[right] ||= more[right];
			return all;
		},
		divide(dividend, divisor) {
			if (divisor === 0) throw "division by zero";
			const quotient = Math.trunc(dividend / divisor);
			if (quotient > 0x7fffffff) throw "overflow";
			return quotient;
		},
		parse,
		check(holds) {
			if (!holds) throw undefined;
		},
		sum: (numbers) => integer64([...numbers].reduce((sum, n) => sum + n, 0)),
		reverse: (bytes) => new Uint8Array(bytes).reverse(),
		mirror: (text) => [...text].reverse().join(""),
		repeat: (text, times) => text.repeat(times),
		split: (text, separator) => text.split(separator),
		join: (parts, separator) => parts.join(separator),
		transpose(rows) {
			if (rows.length === 0) return [];
			return [...rows[0]].map((_, column) => rows.map((row) => row[column]));
		},
		count(words) {
			const counts = new Map();
			for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
			return [...counts];
		},
		swap: ([text, number]) => [number, text],
		flip(outcome) {
			if (outcome.tag === "ok") throw outcome.val;
			return outcome.val;
		},
		wrap: (value) => ({ tag: "some", val: value }),
		unwrap: (value) => (value?.tag === "some" ? value.val : undefined),
		pack(truth, unsigned8, signed8, unsigned16, signed16, unsigned32, signed32, unsigned64, signed64,
			float32, float64, letter, text, maybe, bytes) {
			return { truth, unsigned8, signed8, unsigned16, signed16, unsigned32, signed32, unsigned64, signed64,
				float32, float64, letter, text, maybe, bytes };
		},
	};

	class Counter {
		#value;
		constructor(start) {
			this.#value = start;
		}
		add(n) {
			const before = this.#value;
			this.#value += n;
			return before;
		}
		value() {
			return this.#value;
		}
		static merge(a, b) {
			return new Counter(a.#value + b.#value);
		}
	}

	const counters = {
		Counter,
		difference: (a, b) => a.value() - b.value(),
		sum: (of) => of.reduce((sum, counter) => sum + counter.value(), integer64(0)),
	};

	let sum = integer64(0);
	const lines = [];

	return {
		values,
		counters,
		add: (n) => (sum += n),
		total: () => sum,
		remember: (line) => lines.push(line),
		recall: () => lines,
		fail(why) {
			throw new Error(why);
		},
	};
}
