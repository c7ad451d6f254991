#!/bin/sh
# Builds primes.wasm.
# Needs either a rustup toolchain with `rustup target add wasm32-wasip1` (set
# CARGO=cargo to use it), or from apt: rustc-web cargo-web rust-web-src
# clang-19 lld-19 wasi-libc libclang-rt-19-dev-wasm32 (../setup.sh rust
# installs them). The committed primes.wasm is from the latter, which has no
# standard library for WASI and builds one from source.
set -eu
cd "$(dirname "$0")"
mkdir -p build
here=$PWD out=${1:-primes.wasm}
if [ -n "${CARGO:-}" ]; then
	"$CARGO" build --release --target wasm32-wasip1 --target-dir build
	cp build/wasm32-wasip1/release/primes.wasm "$out"
	exit
fi

library=/usr/lib/rustlib/src/rust/library
[ -d "$library" ] || library=$(/usr/bin/rustc --print sysroot)/lib/rustlib/src/rust/library
# rustc knows by the end of its name how to call the linker.
cat >build/wasi-clang <<'END'
#!/bin/sh
exec clang-19 "$@" --target=wasm32-wasi
END
chmod +x build/wasi-clang
# Debian's toolchain is named by path, for another may come first in PATH; its
# std is an unstable feature to build, hence RUSTC_BOOTSTRAP; and nothing is
# fetched, for the crates that std uses come with its source.
RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 /usr/bin/cargo build --release --offline \
	--target wasm32-wasip1 --target-dir build \
	-Zbuild-std=std,panic_abort \
	--config "target.wasm32-wasip1.linker='$here/build/wasi-clang'" \
	--config "target.wasm32-wasip1.rustflags=['-Clink-self-contained=no', '--remap-path-prefix=$here=primes']" \
	--config "source.crates-io.replace-with='vendored'" \
	--config "source.vendored.directory='$library/vendor'"
cp build/wasm32-wasip1/release/primes.wasm "$out"
