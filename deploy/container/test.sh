#!/usr/bin/env bash
# Tests the Dockerfile for real, without Docker and without a registry: buildah builds it for both architectures on base
# images made here from Debian packages, and podman runs it with everything taken away, on a scripted driver library.
# Needs root, Go, gcc, curl, and Debian's buildah, podman, runc, debootstrap, gcc-aarch64-linux-gnu,
# libc6-dev-arm64-cross and qemu-user. Five minutes. WATTMARK_TEST_CACHE names a folder that keeps the Debian root;
# STORAGE_DRIVER=vfs is for kernels without overlayfs.
set -euo pipefail
cd "$(dirname "$0")/../.."

work=$(mktemp -d)
chmod 755 "$work"
cat >"$work/storage.conf" <<-CONF
	[storage]
	driver = "${STORAGE_DRIVER:-overlay}"
	runroot = "$work/run"
	graphroot = "$work/graph"
CONF
export CONTAINERS_STORAGE_CONF=$work/storage.conf
engine() { podman --cgroup-manager cgroupfs --runtime runc "$@"; }
end() {
	engine rm -fa -t 0 >/dev/null 2>&1 || true
	buildah rm -a >/dev/null 2>&1 || true
	umount -R "$work/graph/overlay" 2>/dev/null || true
	rm -rf "$work"
}
trap end EXIT
fail() {
	echo "FAIL: $*" >&2
	exit 1
}

# The base images: what golang:1.26-bookworm and distroless/base hold that matters here.
cache=${WATTMARK_TEST_CACHE:-$work}
if [ ! -d "$cache/go-root" ]; then
	mkdir -p "$cache"
	rm -rf "$cache/go-root.new"
	debootstrap --variant=minbase --include=gcc,libc6-dev,ca-certificates,gcc-aarch64-linux-gnu,libc6-dev-arm64-cross \
		bookworm "$cache/go-root.new" >"$work/debootstrap.log"
	rm -rf "$cache"/go-root.new/var/cache/apt/archives/*.deb
	cp -a "$(go env GOROOT)" "$cache/go-root.new/usr/local/go"
	mv "$cache/go-root.new" "$cache/go-root"
fi
image() { # image NAME FOLDER [CONFIG…]: an image of a folder
	local name=$1 folder=$2 container
	shift 2
	container=$(buildah from scratch)
	buildah add -q "$container" "$folder" / >/dev/null
	buildah config "$@" "$container"
	buildah commit -q --rm "$container" "$name" >/dev/null
}
# Debian 12's buildah does not heed FROM --platform: what builds for arm64 must look like an image of it. Both run here.
for arch in amd64 arm64; do
	image localhost/golang-$arch "$cache/go-root" --arch $arch --env PATH=/usr/local/go/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		--env GOTOOLCHAIN=local --env GOPATH=/go
done
runtime() { # runtime ARCH LOADER LIBRARIES…
	local root=$work/runtime-$1 loader=$2
	mkdir -p "$root/$(dirname "$loader")" "$root/etc" "$root/lib/$3"
	cp -L "$4/$(basename "$loader")" "$root/$loader"
	for library in libc.so.6 libm.so.6 libdl.so.2 libpthread.so.0 librt.so.1; do cp -L "$4/$library" "$root/lib/$3/"; done
	printf 'root:x:0:0::/root:/sbin/nologin\nnonroot:x:65532:65532::/home/nonroot:/sbin/nologin\n' >"$root/etc/passwd"
	image "localhost/runtime-$1" "$root" --arch "$1"
}
runtime amd64 lib64/ld-linux-x86-64.so.2 x86_64-linux-gnu /lib/x86_64-linux-gnu
runtime arm64 lib/ld-linux-aarch64.so.1 aarch64-linux-gnu /usr/aarch64-linux-gnu/lib

mkdir "$work/src" # of this moment
git ls-files -z | xargs -0 cp --parents -t "$work/src"
cd "$work/src"
go mod download # the build below takes its modules from this machine's cache
for arch in amd64 arm64; do
	buildah bud --isolation chroot --pull-never --format docker --platform "linux/$arch" -v "$(go env GOMODCACHE)/cache/download:/proxy:ro" \
		--build-arg "GO_IMAGE=localhost/golang-$arch" --build-arg "RUNTIME_IMAGE=localhost/runtime-$arch" --build-arg GOPROXY=file:///proxy \
		--build-arg VERSION=9.8.7 --build-arg REVISION=test -t "localhost/wattmark-$arch" . >"$work/build-$arch.log" 2>&1 ||
		fail "build for $arch: $(tail -20 "$work/build-$arch.log")"
	mount=$(buildah mount "$(buildah from --pull-never "localhost/wattmark-$arch")")
	cp "$mount/usr/local/bin/wattmark" "$work/wattmark-$arch"
	GOARCH=$arch VERSION=9.8.7 deploy/release/build.sh "$work/here-$arch"
	sha256sum "$work/wattmark-$arch" "$work/here-$arch"
	cmp "$work/wattmark-$arch" "$work/here-$arch" || fail "$arch: the image's binary is not what a build outside gives"
done
[ "$(qemu-aarch64 -L /usr/aarch64-linux-gnu "$work/wattmark-arm64" --version)" = 9.8.7 ] || fail "arm64 does not run"
engine image inspect localhost/wattmark-amd64 --format '{{.User}} {{.Config.Env}} {{.Labels}} {{.HealthCheck}}' | tee "$work/config"
for want in 65532:65532 NVIDIA_DRIVER_CAPABILITIES=utility org.opencontainers.image.version:9.8.7 'wattmark health'; do
	grep -q "$want" "$work/config" || fail "the image has no $want"
done
engine images

mkdir "$work/driver" "$work/results"
chown 65532:65532 "$work/results"
gcc -O1 -shared -fPIC -Wl,-soname,libnvidia-ml.so.1 -o "$work/driver/libnvidia-ml.so.1" internal/nvmldouble/c/nvml.c -lm -lpthread
printf 'gpus 2\ngpu * step 0 400\n' >"$work/driver/script"
chmod -R a+rX "$work/driver"
bare=(--network none --read-only --read-only-tmpfs=false --cap-drop all --security-opt no-new-privileges
	--ulimit nofile=20000:20000 --ulimit nproc=4096:4096 --memory 128m)
engine run -d --name meter "${bare[@]}" -v "$work/driver:/driver:ro" -v "$work/results:/results" \
	-e WATTMARK_NVML_LIBRARY=/driver/libnvidia-ml.so.1 -e WATTMARK_NVML_SCRIPT=/driver/script -e WATTMARK_LOG_LEVEL=debug \
	localhost/wattmark-amd64
in_container() { engine exec meter /usr/local/bin/wattmark "$@"; }
in_container ready || fail "not ready: $(engine logs meter 2>&1)"
engine healthcheck run meter || fail "health check"
pid=$(engine inspect meter --format '{{.State.Pid}}')
for line in 'Uid:.65532.65532.65532.65532' NoNewPrivs:.1 Seccomp:.2 CapEff:.0000000000000000 CapBnd:.0000000000000000; do
	grep -q "^$line\$" "/proc/$pid/status" || fail "not $line"
done
engine logs meter 2>&1 | grep 'memory limit.* limit_mb=134 ' || fail "it does not know its limit of 128 MiB: $(engine logs meter 2>&1)"
[ "$(nsenter -t "$pid" -n ip -o link | wc -l)" = 1 ] || fail "there is a network: $(nsenter -t "$pid" -n ip -o link)"

in_container mark-start --run r1 --expected-num-gpus 2
sleep 3
in_container mark-end --run r1 --completed 8 --total-input-tokens 800 --total-output-tokens 80 >"$work/result"
python3 - "$work/result" "$work/results/power_window_r1.json" <<-'PY'
	import json, sys
	result, file = (json.load(open(name)) for name in sys.argv[1:])
	truth = 2 * 400 * result["duration_s"]
	assert result["power_valid"] and abs(result["total_gpu_energy_j"] - truth) <= 2 * result["energy_bound_j"], (result, truth)
	assert file["total_gpu_energy_j"] == result["total_gpu_energy_j"]
	print("measured %.1f J, true %.1f J, bound %.1f J" % (result["total_gpu_energy_j"], truth, result["energy_bound_j"]))
PY
nsenter -t "$pid" -n curl -fsS http://127.0.0.1:9844/metrics >"$work/metrics"
[ "$(grep -c '^wattmark_gpu_power_watts{.*} 400$' "$work/metrics")" = 2 ] || fail "metrics: $(grep power "$work/metrics")"
grep VmHWM "/proc/$pid/status"
begin=$(date +%s%N)
engine stop meter >/dev/null
echo "stopped in $((($(date +%s%N) - begin) / 1000000)) ms"
[ "$(engine inspect meter --format '{{.State.ExitCode}}')" = 0 ] || fail "exit code: $(engine logs meter 2>&1 | tail -3)"

# Without a GPU it lives and says so.
engine run -d --name none "${bare[@]}" localhost/wattmark-amd64 >/dev/null
sleep 1
engine healthcheck run none || fail "health without a GPU: $(engine logs none 2>&1)"
if engine exec none /usr/local/bin/wattmark ready --wait 0.1s 2>"$work/why"; then fail "ready without a GPU"; fi
cat "$work/why"
engine stop none >/dev/null
echo "PASS with $(buildah --version), $(podman --version)"
