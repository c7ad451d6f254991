#!/bin/sh
# quickjs.sh WORLD MODULE COMPONENT makes a component of a JavaScript module,
# with the world kit-quickjs or kit-hosted-quickjs of javascript/quickjs.wit.
# The WIT of WASI comes with jco.
set -eu
here=$(dirname "$(realpath "$0")")
wit=$(mktemp -d)
trap 'rm -rf "$wit"' EXIT
cp "$here/wit/kit.wit" "$here/javascript/quickjs.wit" "$wit"
cp -r "$here/node_modules/@bytecodealliance/jco/lib/wit/builtin/0.2.12" "$wit/deps"
"$here/node_modules/.bin/componentize-qjs" --wit "$wit" --world "$1" --js "$2" --sync --opt-size --minify -o "$3" >/dev/null
