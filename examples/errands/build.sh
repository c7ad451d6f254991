#!/bin/sh
# Builds errands.wasm.
# Needs: clang-19 lld-19 wasi-libc libclang-rt-19-dev-wasm32 from apt
# (../setup.sh c installs them).
set -eu
cd "$(dirname "$0")"
clang-19 --target=wasm32-wasi -mexec-model=reactor -O2 -Wall errands.c -Wl,--strip-debug -o "${1:-errands.wasm}"
