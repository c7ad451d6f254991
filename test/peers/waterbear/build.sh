#!/bin/sh
# Builds waterbear.wasm. Needs: the toolchain that rust-toolchain.toml names, and
# crates (examples/setup.sh kit installs the toolchain).
set -eu
cd "$(dirname "$0")"
../../../examples/kit/cargo.sh . "$PWD/waterbear.wasm"
sha256sum waterbear.wasm >waterbear.wasm.sha256
