#!/bin/sh
# Builds lua.wasm: Lua 5.4.4 from Debian's source.
# Needs: clang-19 lld-19 wasi-libc libclang-rt-19-dev-wasm32 dpkg-dev from apt,
# binaryen from npm, and a Debian whose source of lua5.4 is 5.4.4
# (../setup.sh lua installs them).
#
# clang 19 knows only the older form of WebAssembly exceptions, which Lua's
# errors become; binaryen translates them to the form that was standardised.
set -eu
cd "$(dirname "$0")"
out=${1:-lua.wasm}
mkdir -p build
../debian-source.sh lua5.4 5.4.4 164c7849653b80ae67bec4b7473b884bf5cc8d2dca05653475ec2ed27b9ebf61 build

lua=build/lua5.4-5.4.4/src
sources=
for file in "$lua"/l*.c; do
	[ "$(basename "$file")" = luac.c ] || sources="$sources $file"
done
# Paths are kept out of the module, so that it is the same wherever it is built.
clang-19 --target=wasm32-wasi -O2 -ffile-prefix-map="$lua=lua" \
	-Wno-deprecated-declarations -Iwasi -include wasi/missing.h \
	-mexception-handling -mllvm -wasm-enable-sjlj \
	-D_WASI_EMULATED_SIGNAL -D_WASI_EMULATED_PROCESS_CLOCKS \
	$sources wasi/sjlj.c wasi/missing.c \
	-lm -lwasi-emulated-signal -lwasi-emulated-process-clocks \
	-Wl,--strip-all -Wl,-z,stack-size=1048576 -o build/lua.legacy.wasm
../node_modules/.bin/wasm-opt build/lua.legacy.wasm \
	--enable-exception-handling --enable-bulk-memory --enable-sign-ext --enable-mutable-globals \
	--enable-nontrapping-float-to-int \
	--translate-to-exnref -o "$out"
