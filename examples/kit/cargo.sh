#!/bin/sh
# cargo.sh CRATE COMPONENT [FLAGS] builds the crate in the directory CRATE, of
# which its Cargo.lock pins what it uses. The compiler makes a component by
# itself, for its target is WASI 0.2. Paths of this machine are kept out of it.
set -eu
crate=$(realpath "$1") component=$(realpath "$2")
shift 2
cd "$crate"
cargo fetch --locked --target wasm32-wasip2
RUSTFLAGS="${RUSTFLAGS:-} --remap-path-prefix=$crate=$(basename "$crate")"
for crates in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*; do
	RUSTFLAGS="$RUSTFLAGS --remap-path-prefix=$crates=crates"
done
export RUSTFLAGS
cargo build --release --locked --target wasm32-wasip2 --target-dir build "$@"
cp "$(ls build/wasm32-wasip2/release/*.wasm)" "$component"
