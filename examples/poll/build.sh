#!/bin/sh
# Builds poll.wasm.
# Needs: typescript, esbuild and componentize-qjs from npm (../setup.sh kit
# installs them).
#
#   ./build.sh            in this directory
#   ./build.sh DIR        in another
set -eu
cd "$(dirname "$0")"
out=${1:-.}
mkdir -p build/wit/deps "$out"
bin=../kit/node_modules/.bin
"$bin/tsc" --noEmit
# esbuild finds the package by the paths in tsconfig.json; a program of its own
# has it in node_modules.
"$bin/esbuild" poll.ts --bundle --format=esm '--external:waterbear:*' --log-level=error --outfile=build/poll.js
cp wit/poll.wit build/wit
rm -rf build/wit/deps/durable
mkdir build/wit/deps/durable
cp ../../wit/durable/*.wit build/wit/deps/durable
"$bin/componentize-qjs" --wit build/wit --world poll --js build/poll.js --sync --opt-size --minify -o "$out/poll.wasm" >/dev/null
