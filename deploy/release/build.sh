#!/bin/sh
# Builds the binary that is released, to the file named: the same bytes from any folder. GOARCH amd64 or arm64, empty
# for this machine's; VERSION, 1.2.3 or v1.2.3, is what --version says.
set -eu
cd "$(dirname "$0")/../.."
arch=${GOARCH:-$(go env GOHOSTARCH)}
if [ "$arch" != "$(go env GOHOSTARCH)" ]; then
	case $arch in
	amd64) CC=${CC:-x86_64-linux-gnu-gcc} ;;
	arm64) CC=${CC:-aarch64-linux-gnu-gcc} ;;
	esac
fi
export CC="${CC:-gcc}" GOOS=linux GOARCH="$arch" CGO_ENABLED=1 CGO_CFLAGS="-O2 -g -Wno-deprecated-declarations"
unset GOFLAGS GOAMD64 GOARM64 GOEXPERIMENT CGO_CPPFLAGS CGO_LDFLAGS # what a user's shell sets must not show
# No -z now: no driver has every NVML symbol. No build id and no state of the repository: they differ between folders.
tag=${VERSION:-}
exec go build -trimpath -buildvcs=false -ldflags="-s -w -buildid= -X main.tag=${tag#v}" -o "$1" ./cmd/wattmark
