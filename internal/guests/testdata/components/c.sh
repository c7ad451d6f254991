#!/bin/sh
# Builds the components in C that only tests run: posix, a command, and steps, a
# library.
# Needs: clang-19 lld-19 wasi-libc libclang-rt-19-dev-wasm32 from apt, and jco
# 1.35 from npm. Its directory node_modules is JCO, that of examples/kit if unset.
#
#   ./c.sh        both, beside their sources
#   ./c.sh OUT    both, in another directory
set -eu
cd "$(dirname "$0")"
out=${1:-.}
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
clang-19 --target=wasm32-wasi -O2 -Wall posix.c -Wl,--strip-all -o "$work/posix.wasm"
clang-19 --target=wasm32-wasi -O2 -Wall -mexec-model=reactor steps.c -Wl,--strip-all -o "$work/steps.wasm"
ln -s "${JCO:-$PWD/../../../../examples/kit/node_modules}" "$work/node_modules"
cat >"$work/new.mjs" <<'END'
import { readFile, writeFile } from 'node:fs/promises';
import { componentEmbed, componentNew } from '@bytecodealliance/jco';

const [, , core, kind, out, wit, world] = process.argv;
const adapter = new URL(`node_modules/@bytecodealliance/jco/lib/wasi_snapshot_preview1.${kind}.wasm`, import.meta.url);
let binary = await readFile(core);
if (wit) binary = await componentEmbed({ binary, witSource: await readFile(wit, 'utf8'), world });
await writeFile(out, await componentNew(binary, [['wasi_snapshot_preview1', await readFile(adapter)]]));
END
node "$work/new.mjs" "$work/posix.wasm" command "$out/posix.wasm"
node "$work/new.mjs" "$work/steps.wasm" reactor "$out/steps.wasm" steps.wit steps
