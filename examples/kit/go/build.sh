#!/bin/sh
# Builds the kit in Go: go.wasm and go-hosted.wasm, 3 MB each. Go makes a module
# of WASI 0.1, which an adapter turns into a component.
# Needs: Go 1.26, the wit-bindgen command from cargo, and jco from npm
# (../../setup.sh kit installs the last two).
#
#   ./build.sh            in ../build
#   ./build.sh DIR        in another directory
set -eu
cd "$(dirname "$0")"
mkdir -p build "${1:-../build}"
out=$(realpath "${1:-../build}")
PATH=$(realpath ..)/build/cargo/bin:$(realpath ..)/node_modules/.bin:$PATH

# What the bindings import comes with their generator, which cargo has. It names
# a newer Go than what it uses of it needs.
version=$(wit-bindgen --version | sed 's/.* //')
rm -rf build/pkg
cp -r "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/wit-bindgen-go-"$version"/src/pkg build/pkg
chmod -R u+w build/pkg
(cd build/pkg && go mod edit -go=1.26)

# While arguments are laid into memory, a component must call nobody; a garbage
# collection does. So it has to wait, which is what later versions do too.
sed -i 's/adapterMonotonicClockSetPaused(true)/procPin(); &/; s/adapterMonotonicClockSetPaused(false)/&; procUnpin()/' build/pkg/wit/runtime/runtime.go
cat >build/pkg/wit/runtime/pin.go <<'END'
package runtime

import _ "unsafe"

//go:linkname procPin runtime.procPin
func procPin() int

//go:linkname procUnpin runtime.procUnpin
func procUnpin()
END

# build NAME WORLD FLAGS...
build() {
	name=$1 world=$2
	shift 2
	rm -rf "build/$name"
	mkdir "build/$name"
	cp -r export_* "build/$name"
	(
		cd "build/$name"
		wit-bindgen go ../../../wit --world "$world" >/dev/null
		go mod edit -go=1.26 -require=go.bytecodealliance.org/pkg@v0.0.0 -replace=go.bytecodealliance.org/pkg=../pkg
		GOOS=wasip1 GOARCH=wasm GOFLAGS= go build -buildmode=c-shared -trimpath -ldflags='-s -w -checklinkname=0' "$@" -o core.wasm .
		node ../../../embed.mjs core.wasm ../../../wit/kit.wit "$world" embedded.wasm
		jco new embedded.wasm --wasi-reactor -o "$out/$name.wasm" >/dev/null
	)
}
build go kit
build go-hosted kit-hosted -tags hosted
