#!/bin/sh
# Builds the kit in JavaScript on QuickJS: quickjs.wasm and
# quickjs-hosted.wasm.
# Needs: componentize-qjs and jco from npm (../../setup.sh kit installs
# them).
#
#   ./build.sh            in the directory above
#   ./build.sh DIR        in another
set -eu
cd "$(dirname "$0")"
out=${1:-..}
mkdir -p "$out"
../quickjs.sh kit-quickjs quickjs.js "$out/quickjs.wasm"
../quickjs.sh kit-hosted-quickjs quickjs-hosted.js "$out/quickjs-hosted.wasm"
