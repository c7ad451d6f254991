#!/bin/sh
# Builds the guests that only the simulation runs.
# Needs: clang-19 lld-19 wasi-libc libclang-rt-19-dev-wasm32 from apt.
set -eu
cd "$(dirname "$0")"
clang-19 --target=wasm32-wasi -O2 -Wall patient.c -Wl,--strip-all -o patient.wasm
