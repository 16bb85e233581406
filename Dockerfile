# syntax=docker/dockerfile:1

# wattmark in a container, for amd64 and arm64:
#
#   docker build --build-arg VERSION="$(git describe --tags --always)" -t wattmark .
#   docker run --rm --gpus all --network host --read-only -v "$PWD/results:/results" wattmark
#
# It runs as uid 65532, which must be able to write to the results folder. docs/deploy.md has more.

ARG GO_IMAGE=docker.io/library/golang:1.26-bookworm
# glibc and nothing else. No Alpine: the vendors' libraries are opened at run time and need glibc 2.34 or newer.
ARG RUNTIME_IMAGE=gcr.io/distroless/base-nossl-debian12:nonroot

FROM --platform=$BUILDPLATFORM ${GO_IMAGE} AS build
ARG TARGETARCH
# The compiler runs here whatever the target: no emulation.
RUN case "$TARGETARCH-$(go env GOHOSTARCH)" in \
      arm64-amd64) compiler=gcc-aarch64-linux-gnu libc=libc6-dev-arm64-cross ;; \
      amd64-arm64) compiler=gcc-x86-64-linux-gnu libc=libc6-dev-amd64-cross ;; \
      *) exit 0 ;; \
    esac; \
    if dpkg -s $compiler >/dev/null 2>&1; then exit 0; fi; \
    apt-get update && apt-get install -y --no-install-recommends $compiler $libc && rm -rf /var/lib/apt/lists/*
WORKDIR /src
ARG GOPROXY=
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
ARG VERSION=
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    mkdir -p /out/results && GOARCH=$TARGETARCH VERSION=$VERSION deploy/release/build.sh /out/wattmark

FROM ${RUNTIME_IMAGE}
ARG VERSION=
ARG REVISION=
LABEL org.opencontainers.image.title="wattmark" \
      org.opencontainers.image.description="Joules per token of LLM inference, exactly for the measured phase" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
COPY --from=build /out/wattmark /usr/local/bin/wattmark
COPY LICENSE /usr/share/doc/wattmark/
COPY --from=build --chown=65532:65532 /out/results /results
# The driver's library for management is all it needs: no CUDA, no compute.
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=utility \
    WATTMARK_RESULTS_DIR=/results
USER 65532:65532
EXPOSE 9844
# Whether the process lives, not whether it has GPUs: the meter never takes a server down.
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["/usr/local/bin/wattmark", "health"]
ENTRYPOINT ["/usr/local/bin/wattmark"]
CMD ["serve"]
