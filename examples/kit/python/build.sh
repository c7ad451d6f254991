#!/bin/sh
# Builds the kit in Python: python.wasm and python-hosted.wasm, 19 MB each, in
# about a minute.
# Needs: Python 3.10 or newer with venv and pip. componentize-py comes with a
# CPython of its own that is WebAssembly.
#
#   ./build.sh            in ../build
#   ./build.sh DIR        in another directory
set -eu
cd "$(dirname "$0")"
out=${1:-../build}
mkdir -p build "$out"
[ -d build/venv ] || python3 -m venv build/venv
build/venv/bin/pip install --quiet componentize-py==0.25.1

build() {
	build/venv/bin/componentize-py --wit-path ../wit --world "$1" componentize "$2" -o "$out/$3.wasm"
}
build kit kit python
build kit-hosted kit_hosted python-hosted
