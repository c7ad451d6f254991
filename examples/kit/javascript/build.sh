#!/bin/sh
# Builds the kit in JavaScript on QuickJS: quickjs.wasm and
# quickjs-hosted.wasm.
# Needs: componentize-qjs and jco from npm (../setup.sh javascript installs them).
#
#   ./build.sh            in the directory above
#   ./build.sh DIR        in another
set -eu
cd "$(dirname "$0")"
mkdir -p build "${1:-..}"
out=$(realpath "${1:-..}")
modules=$PWD/../node_modules

rm -rf build/wit
mkdir build/wit
cp ../wit/kit.wit quickjs.wit build/wit
cp -r "$modules/@bytecodealliance/jco/lib/wit/builtin/0.2.12" build/wit/deps

componentize() {
	"$modules/.bin/componentize-qjs" --wit build/wit --sync --opt-size --minify "$@"
}
componentize --world kit-quickjs --js quickjs.js -o "$out/quickjs.wasm"
componentize --world kit-hosted-quickjs --js quickjs-hosted.js -o "$out/quickjs-hosted.wasm"
