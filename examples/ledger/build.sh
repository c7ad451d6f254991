#!/bin/sh
# Builds ledger.wasm.
# Needs: clang-19 lld-19 wasi-libc libclang-rt-19-dev-wasm32 from apt
# (../setup.sh c installs them).
set -eu
cd "$(dirname "$0")"
clang-19 --target=wasm32-wasi -O2 -Wall ledger.c -Wl,--strip-all -o "${1:-ledger.wasm}"
