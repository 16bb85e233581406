#!/usr/bin/env bash
# Tests a release: built twice, from two folders with two build caches, it has the same bytes; what is in it works.
# Needs what release.sh needs, and for the rest Debian's qemu-user, mandoc, zsh and fish. Ten minutes on two cores.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
fail() { echo "FAIL: $*" >&2; exit 1; }

export VERSION=9.8.7 SOURCE_DATE_EPOCH=1795000000
for copy in a/wattmark a-longer-name/deeper/source; do
	mkdir -p "$work/$copy"
	git ls-files -z | xargs -0 cp --parents -t "$work/$copy"
	GOCACHE="$work/cache-${copy%%/*}" "$work/$copy/deploy/release/release.sh" "$work/dist-${copy%%/*}" >"$work/sums-${copy%%/*}"
	rm -rf "$work/cache-${copy%%/*}"
done
diff "$work/sums-a" "$work/sums-a-longer-name" || fail "two builds differ"
cat "$work/sums-a"
cd "$work/dist-a"
sha256sum --quiet -c SHA256SUMS

for arch in amd64 arm64; do
	name=wattmark-9.8.7-linux-$arch
	tar xzf "$name.tar.gz"
	run=()
	[ "$arch" = "$(go env GOHOSTARCH)" ] || run=(qemu-aarch64 -L /usr/aarch64-linux-gnu)
	[ "$("${run[@]}" "$name/wattmark" --version)" = 9.8.7 ] || fail "$arch: version $("${run[@]}" "$name/wattmark" --version)"
	objdump -T "$name/wattmark" 2>/dev/null || "${CROSS:-aarch64-linux-gnu-}objdump" -T "$name/wattmark"
done | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -1 | tee glibc
[ "$(printf 'GLIBC_2.34\n%s\n' "$(cat glibc)" | sort -V | tail -1)" = GLIBC_2.34 ] || fail "needs $(cat glibc)"

cd wattmark-9.8.7-linux-amd64
ls -R
said=$(mandoc -Tlint -Wwarning wattmark.1) || fail "mandoc: $said"
bash -n completions/wattmark.bash
zsh -n completions/_wattmark
fish -n completions/wattmark.fish
fish -c 'source completions/wattmark.fish; complete -C "wattmark serve --backend n"' | grep -q ^nvidia || fail "fish"
python3 - sbom.cdx.json <<-'PY'
	import json, subprocess, sys
	bom = json.load(open(sys.argv[1]))
	assert bom["bomFormat"] == "CycloneDX" and bom["metadata"]["component"]["version"] == "9.8.7"
	listed = {(c["name"], c["version"]) for c in bom["components"]}
	built = subprocess.run(["go", "version", "-m", "wattmark"], capture_output=True, text=True, check=True).stdout
	modules = {tuple(line.split()[1:3]) for line in built.splitlines() if line.split()[0] == "dep"}
	assert len(modules) > 5 and modules < listed, modules - listed
	notices = open("THIRD_PARTY_LICENSES").read()
	assert all(name in notices for name, _ in listed)
	print(len(listed), "components")
PY
echo PASS
