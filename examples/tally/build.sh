#!/bin/sh
# Builds tally.wasm. Needs: the toolchain that rust-toolchain.toml names, and
# crates (../setup.sh kit installs the toolchain).
#
#   ./build.sh            in this directory
#   ./build.sh DIR        in another
set -eu
cd "$(dirname "$0")"
out=${1:-.}
mkdir -p "$out"
# Without the flag tokio has no network in WebAssembly.
RUSTFLAGS="--cfg tokio_unstable" ../kit/cargo.sh . "$out/tally.wasm"
