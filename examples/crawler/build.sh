#!/bin/sh
# Builds crawler.wasm. Needs: the toolchain that rust-toolchain.toml names, and
# crates (../setup.sh kit installs the toolchain).
#
#   ./build.sh            in this directory
#   ./build.sh DIR        in another
set -eu
cd "$(dirname "$0")"
out=${1:-.}
mkdir -p "$out"
../kit/cargo.sh . "$out/crawler.wasm"
