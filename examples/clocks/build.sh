#!/bin/sh
# Builds clocks.wasm.
# Needs: assemblyscript and @assemblyscript/wasi-shim from npm
# (../setup.sh assemblyscript installs them).
set -eu
cd "$(dirname "$0")"
out=$PWD/clocks.wasm
[ $# -eq 0 ] || out=$(realpath "$1")
# The config's paths are relative to its own directory.
../node_modules/.bin/asc clocks.ts --config ../node_modules/@assemblyscript/wasi-shim/asconfig.json \
	--path ../node_modules -O --outFile "$out"
