#!/bin/sh
# Builds pricing.wasm and orders.wasm. Needs: the toolchain that
# rust-toolchain.toml names, and crates (../setup.sh kit installs the toolchain).
#
#   ./build.sh            in this directory
#   ./build.sh DIR        in another
set -eu
cd "$(dirname "$0")"
out=${1:-.}
mkdir -p "$out"
for crate in pricing orders; do
	../kit/cargo.sh "$crate" "$out/$crate.wasm"
done
