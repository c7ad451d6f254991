#!/bin/sh
# Builds the kit in JavaScript on StarlingMonkey: starlingmonkey.wasm and
# starlingmonkey-hosted.wasm, 12 MB each, in about a minute.
# Needs: componentize-js and esbuild from npm (../../setup.sh kit installs
# them).
#
#   ./starlingmonkey.sh            in ../build
#   ./starlingmonkey.sh DIR        in another directory
set -eu
cd "$(dirname "$0")"
out=${1:-../build}
mkdir -p build "$out"
bin=../node_modules/.bin

# componentize-js takes one file. Only standard output is used of what the
# engine can do.
build() {
	"$bin/esbuild" "$1.js" --bundle --format=esm '--external:waterbear:*' --log-level=warning --outfile="build/$1.js"
	"$bin/componentize-js" "build/$1.js" --wit ../wit --world-name "$2" \
		--disable clocks --disable http --disable random --disable fetch-event -o "$out/$1.wasm"
}
build starlingmonkey kit
build starlingmonkey-hosted kit-hosted
