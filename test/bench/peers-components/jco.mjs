// Runs what jco has made of a kit's component, on Node.js: node jco.mjs c.
// It says "ready"; then each line it reads is an operation and how often to do
// it, and it answers with the nanoseconds of computing that it took.
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

const build = new URL("build/", import.meta.url);
const directory = new URL(`${process.argv[2]}/`, build);
const { instantiate } = await import(new URL("component.js", directory));
const { WASIShim } = await import(new URL("node_modules/@bytecodealliance/preview2-shim/dist/common/instantiation.js", build));

const modules = {};
const moduleOf = (name) => (modules[name] ??= new WebAssembly.Module(readFileSync(new URL(name, directory))));
const start = () => {
	const shim = new WASIShim().getImportObject();
	return instantiate(moduleOf, shim, (module, imports) => new WebAssembly.Instance(module, imports));
};

const component = await start();
const { values } = component;
const person = (i) => ({ name: `person ${i}`, age: i % 256, email: i % 2 ? undefined : "ann@example.org", tags: ["admin", "x"] });
const text = "x".repeat(1 << 20);
const bytes = new Uint8Array(1 << 20);
const numbers = new Int32Array(1 << 18);
const people = Array.from({ length: 1000 }, (_, i) => person(i));
const operations = {
	"empty": () => component.total(),
	"record": () => values.birthday(person0),
	"text of 10": () => values.repeat("0123456789", 1),
	"text of 1 MiB": () => values.repeat(text, 1),
	"bytes of 1 MiB": () => values.reverse(bytes),
	"numbers of 1 MiB": () => values.sum(numbers),
	"1000 records": () => values.sort(people),
};
const person0 = person(0);

console.log("ready");
for await (const line of createInterface({ input: process.stdin })) {
	const { operation, times } = JSON.parse(line);
	const before = process.cpuUsage();
	if (operation === "instantiate") {
		for (let i = 0; i < times; i++) await start();
	} else {
		const run = operations[operation];
		for (let i = 0; i < times; i++) run();
	}
	const { user, system } = process.cpuUsage(before);
	console.log((user + system) * 1000);
}
