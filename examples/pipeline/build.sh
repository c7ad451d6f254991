#!/bin/sh
# Builds pipeline.wasm. Needs: Go 1.26 and nothing else.
set -eu
cd "$(dirname "$0")"
GOOS=wasip1 GOARCH=wasm go build -trimpath -ldflags='-s -w' -o "${1:-pipeline.wasm}" .
