#!/bin/sh
# Writes SHA256SUMS anew, after a module was rebuilt on purpose.
set -eu
cd "$(dirname "$0")/../.."
git ls-files --cached --others --exclude-standard -- 'examples/*.wasm' 'internal/guests/testdata/*.wasm' |
	LC_ALL=C sort | xargs sha256sum >internal/guests/SHA256SUMS
