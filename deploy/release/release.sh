#!/usr/bin/env bash
# Makes dist/: a tarball for each architecture, an SBOM of each, and SHA256SUMS. The bytes depend on the source and on
# the versions of Go and gcc alone. The version is the tag's (v1.2.3), else the commit's; VERSION= sets it.
# Needs Go, gcc, and for the other architecture a cross compiler: gcc-aarch64-linux-gnu and libc6-dev-arm64-cross on
# Debian. ARCHITECTURES="amd64" makes less.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=${1:-dist}

VERSION=${VERSION:-$(git describe --tags --match 'v[0-9]*' --dirty 2>/dev/null || true)}
VERSION=${VERSION:-0.0.0-$(git rev-parse --short=12 HEAD)$(git diff --quiet HEAD || echo -dirty)}
VERSION=${VERSION#v}
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export VERSION SOURCE_DATE_EPOCH

rm -rf "$out"
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The same whatever the architecture: from a binary of this machine.
GOARCH='' deploy/release/build.sh "$work/wattmark"
for shell in bash zsh fish; do "$work/wattmark" completion $shell >"$work/completion.$shell"; done
"$work/wattmark" man >"$work/wattmark.1"

for arch in ${ARCHITECTURES:-amd64 arm64}; do
	name=wattmark-$VERSION-linux-$arch
	dir=$work/$name
	mkdir -p "$dir/completions"
	GOARCH=$arch deploy/release/build.sh "$dir/wattmark"
	cp README.md CHANGELOG.md LICENSE deploy/systemd/wattmark.service "$work/wattmark.1" "$dir"
	cp "$work/completion.bash" "$dir/completions/wattmark.bash"
	cp "$work/completion.zsh" "$dir/completions/_wattmark"
	cp "$work/completion.fish" "$dir/completions/wattmark.fish"
	go -C deploy/release run ./sbom -source "$PWD" -binary "$dir/wattmark" -version "$VERSION" -epoch "$SOURCE_DATE_EPOCH" \
		-sbom "$dir/sbom.cdx.json" -notices "$dir/THIRD_PARTY_LICENSES"
	cp "$dir/sbom.cdx.json" "$out/$name.cdx.json"
	find "$dir" -type f -exec chmod 644 {} +
	find "$dir" -type d -exec chmod 755 {} +
	chmod 755 "$dir/wattmark"
	tar -C "$work" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" --format=ustar -cf - "$name" |
		gzip -9n >"$out/$name.tar.gz"
done
(cd "$out" && sha256sum -- *.tar.gz *.cdx.json >SHA256SUMS && cat SHA256SUMS)
