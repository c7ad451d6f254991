#!/bin/sh
# Builds the kit in Rust: rust.wasm and rust-hosted.wasm.
# Needs: the toolchain that rust-toolchain.toml names, and crates
# (../../setup.sh kit installs the toolchain).
#
#   ./build.sh            in the directory above
#   ./build.sh DIR        in another
set -eu
cd "$(dirname "$0")"
out=${1:-..}
mkdir -p "$out"
../cargo.sh . "$out/rust.wasm"
../cargo.sh . "$out/rust-hosted.wasm" --features hosted
