#!/bin/sh
# debian-source.sh PACKAGE VERSION SHA256 DIR unpacks Debian's source of
# PACKAGE at upstream VERSION, patched by Debian, as DIR/PACKAGE-VERSION, after
# comparing the upstream archive with SHA256. It reads the machine's own list
# of apt sources and changes nothing outside DIR.
set -eu
package=$1 version=$2 sum=$3 dir=$4
[ ! -d "$dir/$package-$version" ] || exit 0
command -v dpkg-source >/dev/null || {
	echo "debian-source.sh: install dpkg-dev first" >&2
	exit 1
}
mkdir -p "$dir/apt/parts" "$dir/apt/lists/partial"
# The user that apt downloads as cannot enter a private directory.
chmod 755 "$dir"
for list in /etc/apt/sources.list.d/*.sources /etc/apt/sources.list; do
	[ -e "$list" ] || continue
	sed -e 's/^Types:.*/Types: deb-src/' -e 's/^deb /deb-src /' "$list" >"$dir/apt/parts/$(basename "$list")"
done
[ ! -e "$dir/apt/parts/sources.list" ] || mv "$dir/apt/parts/sources.list" "$dir/apt/parts/main.list"
cd "$dir"
set -- -qq -o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$PWD/apt/parts" \
	-o "Dir::State::lists=$PWD/apt/lists" -o APT::Sandbox::User=root
apt-get "$@" update
# The newest revision is sometimes listed before it can be had.
for revision in $(apt-cache "$@" showsrc --only-source "$package" |
	sed -n "s/^Version: \($version-.*\)/\1/p" | sort -rV); do
	if apt-get "$@" --download-only source "$package=$revision"; then
		archive=$(echo "${package}_$version".orig.tar.*[!c])
		echo "$sum  $archive" | sha256sum --check --quiet
		dpkg-source --no-check -x "${package}_$revision.dsc" "$package-$version" >/dev/null
		rm -rf apt
		exit
	fi
done
echo "debian-source.sh: no source of $package $version can be had" >&2
exit 1
