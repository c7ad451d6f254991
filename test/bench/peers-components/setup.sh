#!/bin/sh
# Installs what BenchmarkComponentPeers compares with, by package name, into
# build/: wasmtime's wheel of PyPI, and jco of npm.
# Needs: Python 3 with venv, and Node.js with npm.
set -eu
cd "$(dirname "$0")"
mkdir -p build
python3 -m venv build/python
build/python/bin/pip install --quiet wasmtime==50.0.1
npm install --prefix build --no-audit --no-fund --ignore-scripts @bytecodealliance/jco@1.35.0
for kit in c rust; do
	build/node_modules/.bin/jco transpile ../../../examples/kit/$kit.wasm -o build/$kit --name component \
		--instantiation async --quiet
	echo '{"type": "module"}' >build/$kit/package.json
	cp ../../../examples/kit/$kit.wasm build/$kit/component.wasm
done
