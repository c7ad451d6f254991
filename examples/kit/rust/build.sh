#!/bin/sh
# Builds the kit in Rust: rust.wasm and rust-hosted.wasm. The compiler makes
# components by itself, for its target is WASI 0.2.
# Needs: rustup with the toolchain that rust-toolchain.toml names, and crates
# (../../setup.sh kit installs the toolchain, and cargo fetches what Cargo.lock
# pins).
#
#   ./build.sh            in the directory above
#   ./build.sh DIR        in another
set -eu
cd "$(dirname "$0")"
out=${1:-..}
mkdir -p "$out"

# Paths are kept out of the component, so that it is the same wherever it is
# built.
cargo fetch --locked --target wasm32-wasip2
RUSTFLAGS=--remap-path-prefix=$PWD=kit
for crates in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*; do
	RUSTFLAGS="$RUSTFLAGS --remap-path-prefix=$crates=crates"
done
export RUSTFLAGS
build() {
	cargo build --release --locked --target wasm32-wasip2 --target-dir build "$@"
}
build
cp build/wasm32-wasip2/release/kit.wasm "$out/rust.wasm"
build --features hosted
cp build/wasm32-wasip2/release/kit.wasm "$out/rust-hosted.wasm"
