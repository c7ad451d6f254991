#!/bin/sh
# Builds http-javascript.wasm, 14 MB, in about a minute.
# Needs: componentize-js and jco from npm (examples/setup.sh kit installs them).
#
#   ./build.sh            in examples/kit/build
#   ./build.sh DIR        in another directory
set -eu
cd "$(dirname "$0")"
kit=../../../../../examples/kit
out=${1:-$kit/build}
mkdir -p "$out"
wit=$(mktemp -d)
trap 'rm -rf "$wit"' EXIT
cp handler.wit "$wit"
# jco has 0.2.12 of the WIT of WASI, which says the same as 0.2.10.
cp -r "$kit/node_modules/@bytecodealliance/jco/lib/wit/builtin/0.2.12" "$wit/deps"
find "$wit/deps" -name '*.wit' -exec sed -i 's/0\.2\.12/0.2.10/g' {} +
"$kit/node_modules/.bin/componentize-js" handler.js --wit "$wit" --world-name handler -o "$out/http-javascript.wasm"
