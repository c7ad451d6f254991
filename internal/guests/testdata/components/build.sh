#!/bin/sh
# Builds the components that only tests run: commands in C, which are modules of
# WASI 0.1 behind an adapter, and in Rust a command, a handler of HTTP requests
# and libraries.
# Needs: jco from npm, and a Rust toolchain (examples/setup.sh kit installs
# them).
#
#   ./build.sh            all, beside this script
#   ./build.sh DIR        all, in another directory
set -eu
cd "$(dirname "$0")"
examples=$PWD/../../../../examples
out=${1:-.}
mkdir -p "$out"

for module in ../effects.wasm "$examples"/countdown/countdown.wasm "$examples"/ledger/ledger.wasm; do
	"$examples/kit/node_modules/.bin/jco" new "$module" --wasi-command -o "$out/$(basename "$module")" >/dev/null
done
for crate in tour http forker keeper control callers configured kept blobs crate redis; do
	"$examples/kit/cargo.sh" "$crate" "$out/$crate.wasm"
done
