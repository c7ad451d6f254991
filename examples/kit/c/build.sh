#!/bin/sh
# Builds the kit in C: c.wasm, c-utf16.wasm whose strings are UTF-16, and
# c-hosted.wasm.
# Needs: clang-19 lld-19 wasi-libc libclang-rt-19-dev-wasm32 from apt, the
# wit-bindgen command from cargo, and jco from npm (../../setup.sh kit installs
# them).
#
#   ./build.sh            in the directory above
#   ./build.sh DIR        in another
set -eu
cd "$(dirname "$0")"
out=${1:-..}
mkdir -p build "$out"
# clang would run a wasm-opt that it found in PATH, which therefore stays as it
# is.
wit_bindgen=../build/cargo/bin/wit-bindgen
jco=../node_modules/.bin/jco

# build NAME WORLD ENCODING SOURCES... The bindings are called kit whatever the
# world is.
build() {
	name=$1 world=$2 encoding=$3
	shift 3
	generated=build/$name
	rm -rf "$generated"
	"$wit_bindgen" c ../wit --world "$world" --rename-world kit --string-encoding "$encoding" --out-dir "$generated" >/dev/null
	clang-19 --target=wasm32-wasi -mexec-model=reactor -O2 -Wall "-I$generated" -I. \
		"$@" kit.c values.c text.c "$generated/kit.c" "$generated/kit_component_type.o" \
		-Wl,--strip-all -o "$generated/core.wasm"
	"$jco" new "$generated/core.wasm" --wasi-reactor -o "$out/$name.wasm" >/dev/null
}
build c kit utf8
build c-utf16 kit utf16 -DUTF16
build c-hosted kit-hosted utf8 hosted.c
