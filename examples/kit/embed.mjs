// embed.mjs MODULE WIT WORLD OUT adds to a module the description of the world
// that it implements, of a WIT file without dependencies. `jco embed` would do
// it, but finds no files.
import { readFile, writeFile } from "node:fs/promises";
import { componentEmbed } from "@bytecodealliance/jco-transpile/wasm-tools";

const [module, wit, world, out] = process.argv.slice(2);
const binary = await readFile(module);
await writeFile(out, await componentEmbed({ binary, witSource: await readFile(wit, "utf8"), world }));
