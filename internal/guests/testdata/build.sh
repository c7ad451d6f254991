#!/bin/sh
# Builds the guests that only tests run.
# Needs: clang-19 lld-19 wasi-libc libclang-rt-19-dev-wasm32 from apt, wabt and
# assemblyscript from npm (examples/setup.sh testdata installs them).
#
#   ./build.sh            all, beside their sources
#   ./build.sh DIR        all, in another directory
set -eu
cd "$(dirname "$0")"
out=${1:-.}
mkdir -p "$out/odd"
clang-19 --target=wasm32-wasi -O2 -Wall effects.c -Wl,--strip-all -o "$out/effects.wasm"
clang-19 --target=wasm32-wasi -O2 -Wall -nostdlib hostile.c -Wl,--strip-all -Wl,-z,stack-size=65536 -o "$out/hostile.wasm"
clang-19 --target=wasm32-wasi -mexec-model=reactor -O2 -Wall kit.c -Wl,--strip-debug -o "$out/kit.wasm"
clang-19 --target=wasm32-wasi -mexec-model=reactor -O2 -Wall -Wno-format -I../../../guest/c asks.c -Wl,--strip-debug -o "$out/asks.wasm"
npm=../../../examples/node_modules/.bin
$npm/asc sieve.ts -O --use abort= --outFile "$out/sieve.wasm"
for source in *.wat odd/*.wat; do
	$npm/wat2wasm --enable-all "$source" -o "$out/${source%.wat}.wasm"
done
