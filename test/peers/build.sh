#!/usr/bin/env bash
# build.sh [COLUMN...]: builds the driver of test/peers, and installs and builds what
# it measures, all columns by default, below build/peers. dbos needs Debian's postgresql-15, installed by the
# caller; what cannot be built is left out, and said so.
set -uo pipefail
cd "$(dirname "$0")/../.."
export CGO_ENABLED=0
here=$PWD/test/peers out=$PWD/build/peers
mkdir -p "$out/bin"
cp "$here/postgres.sh" "$out/"

waterbear() { go build -o "$out/bin/waterbear" ./cmd/waterbear && cp "$here/waterbear/waterbear.wasm" "$out/"; }
raw() { go build -o "$out/bin/raw" ./test/peers/raw; }
node() {
	mkdir -p "$out/$1"
	cp "$here/$1"/*.mjs "$here/$1"/package.json "$out/$1/" &&
		(cd "$out/$1" && npm install --no-audit --no-fund --ignore-scripts --loglevel=error)
}
restate() { node restate; }
dbos() {
	[ -x /usr/lib/postgresql/15/bin/postgres ] || {
		echo "there is no /usr/lib/postgresql/15/bin/postgres: apt-get install postgresql-15" >&2
		return 1
	}
	node dbos
}
temporal() { (cd "$here/temporal" && go build -o "$out/bin/temporal-server" ./server && go build -o "$out/bin/temporal-worker" ./worker); }

go build -o "$out/bin/peers" ./test/peers || exit
failed=
[ $# -gt 0 ] || set -- waterbear raw restate dbos temporal
for column; do
	echo "peers: building $column" >&2
	"$column" || failed="$failed $column"
done
if [ -n "$failed" ]; then
	echo "peers: not built:$failed" >&2
	exit 1
fi
