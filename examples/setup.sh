#!/bin/sh
# Installs what the build.sh of every example needs, by package name, from the
# registries this machine is set up for. Nothing is fetched from anywhere else.
# The committed .wasm files make this unnecessary for running the examples.
#
#   ./setup.sh            everything
#   ./setup.sh c lua      only what these languages need
#
# Languages: c assemblyscript rust lua python testdata. Go needs only Go. `kit`
# installs for all languages of kit, and not without being named, for it takes
# some minutes and a GB: it needs Node.js with npm, and rustup.
set -eu
cd "$(dirname "$0")"

as_root() {
	if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

clang_packages="clang-19 lld-19 llvm-19 wasi-libc libclang-rt-19-dev-wasm32"

apt_packages() {
	case $1 in
	c | testdata | kit) echo "$clang_packages" ;;
	lua) echo "$clang_packages dpkg-dev" ;;
	rust) echo "$clang_packages rustc-web cargo-web rust-web-src" ;;
	python) echo "$clang_packages dpkg-dev python3.11 make" ;;
	assemblyscript) ;;
	*)
		echo "setup.sh: unknown language $1" >&2
		exit 2
		;;
	esac
}

[ $# -gt 0 ] || set -- c assemblyscript rust lua python testdata
packages=
for language in "$@"; do
	packages="$packages $(apt_packages "$language")"
done

if [ -n "$(echo $packages)" ]; then
	as_root apt-get update -qq
	# Word splitting is wanted: each word is a package.
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $packages
fi

# AssemblyScript, and binaryen for lua and wabt for testdata, at the versions
# and hashes that package-lock.json pins.
case " $* " in
*" assemblyscript "* | *" lua "* | *" testdata "*)
	command -v npm >/dev/null || {
		echo "setup.sh: install Node.js with npm first" >&2
		exit 1
	}
	npm ci --no-audit --no-fund --ignore-scripts
	;;
esac

# The tools that make components. What npm has is pinned by kit/package-lock.json,
# the rest here and by kit/rust/rust-toolchain.toml.
case " $* " in
*" kit "*)
	for command in npm rustup cargo; do
		command -v "$command" >/dev/null || {
			echo "setup.sh: install Node.js with npm, and rustup, first" >&2
			exit 1
		}
	done
	cd kit
	npm ci --no-audit --no-fund --ignore-scripts
	rustup toolchain install 1.95.0 --profile minimal --target wasm32-wasip2
	cargo install --locked --root build/cargo wit-bindgen-cli@0.63.0
	;;
esac
