#!/bin/sh
# Builds python.wasm, CPython 3.11.2 from Debian's source, and lib/, the part of
# its standard library that works without processes, threads and sockets.
# Takes some ten minutes.
# Needs: clang-19 lld-19 llvm-19 wasi-libc libclang-rt-19-dev-wasm32 dpkg-dev
# python3.11 make from apt (../setup.sh python installs them).
set -eu
cd "$(dirname "$0")"
mkdir -p build/wasi
here=$PWD
../debian-source.sh python3.11 3.11.2 2411c74bda5bbcfcddaf4531f66d1adc73f247f529aee981b029513aefdbf849 build
source=$here/build/python3.11-3.11.2

# What the build writes into the interpreter is the same everywhere: no paths of
# this machine, and for a date that of the release.
export SOURCE_DATE_EPOCH=1675814400 TZ=UTC LC_ALL=C
(
	cd build/wasi
	[ -e Makefile ] || CONFIG_SITE=$source/Tools/wasm/config.site-wasm32-wasi \
		CC='clang-19 --target=wasm32-wasi' CPP='clang-19 --target=wasm32-wasi -E' \
		AR=llvm-ar-19 RANLIB=llvm-ranlib-19 \
		CFLAGS="-O2 -g0 -w -Wno-int-conversion -ffile-prefix-map=$here=python" \
		PKG_CONFIG=false \
		../python3.11-3.11.2/configure --quiet --host=wasm32-unknown-wasi --build="$(dpkg-architecture -qDEB_BUILD_GNU_TYPE)" \
		--with-build-python=/usr/bin/python3.11 --prefix=/usr --disable-test-modules \
		--without-pydebug --with-ensurepip=no
	make -s -j"$(nproc)" python.wasm
)
llvm-strip-19 --strip-all build/wasi/python.wasm -o "${1:-python.wasm}"

# Nothing that needs what WASI lacks, nothing to develop Python with.
rm -rf lib
mkdir lib
cp -r "$source/Lib" lib/python3.11
cd lib/python3.11
rm -rf test tests */test */tests idlelib lib2to3 turtledemo tkinter ensurepip venv distutils \
	msilib multiprocessing concurrent asyncio sqlite3 dbm curses ctypes pydoc_data unittest \
	wsgiref xmlrpc turtle.py __pycache__ */__pycache__ */*/__pycache__
# Python looks for it, and is content with an empty one.
mkdir lib-dynload
