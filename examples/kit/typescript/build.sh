#!/bin/sh
# Builds the kit in TypeScript on QuickJS: typescript.wasm.
# Needs: typescript, componentize-qjs and jco from npm (../../setup.sh kit
# installs them).
#
#   ./build.sh            in the directory above
#   ./build.sh DIR        in another
set -eu
cd "$(dirname "$0")"
out=${1:-..}
mkdir -p "$out"
../node_modules/.bin/tsc
../quickjs.sh kit-quickjs build/kit.js "$out/typescript.wasm"
