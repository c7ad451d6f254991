#!/bin/sh
# Builds branches.wasm. Needs: Go 1.26 and nothing else.
set -eu
cd "$(dirname "$0")"
GOOS=wasip1 GOARCH=wasm go build -trimpath -buildmode=c-shared -ldflags='-s -w' -o "${1:-branches.wasm}" .
