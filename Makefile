# go-nvml's generated code uses what its own header deprecates; the rest are Go's defaults.
export CGO_CFLAGS ?= -O2 -g -Wno-deprecated-declarations
# A missing NVML symbol must stay unbound until its first use: never link with -z now.
GOLANGCI_LINT ?= go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

.PHONY: build demo test check check-static lint bench endurance release test-real test-page scripts clean

build: ## bin/wattmark
	go build -trimpath -o bin/wattmark ./cmd/wattmark

demo: build ## the whole story on simulated GPUs
	bin/wattmark demo

test: ## every test; needs Go and a C compiler, no GPU
	go test -race -timeout 20m ./... # ./cmd/wattmark waits for daemons that live for seconds: 8 minutes on 2 cores
	go -C deploy/release test ./...
	go test -run 'FullRings|Limits' ./bench/... # CPU time and much arithmetic, which the race detector multiplies
	go test -run 'IsFrugal|IsFast|RunsElsewhere' ./cmd/wattmark ./recording # memory, speed and the binary itself, which it changes

check: check-static test ## what CI runs

check-static: lint scripts
	go vet ./...
	go vet -tags real ./bench/prometheus
	CGO_ENABLED=0 go vet ./vendor_nvidia ./vendor_amd
	GOOS=darwin CGO_ENABLED=0 go vet ./vendor_nvidia ./vendor_amd

bench: ## accuracy on simulated sensors, and a short look at what the daemon costs: 4 minutes
	go run ./bench/accuracy -windows 200
	go run ./bench/cost -duration 30s -parts steady,hour

endurance: ## what docs/cost.md, docs/accuracy.md, docs/reliability.md and docs/nodes.md show: an hour and a half, on a machine that does nothing else
	go run ./bench/live -markdown
	go run ./bench/cost -markdown
	go run ./bench/load -hostile 1
	go run ./bench/load -hostile 20
	go run ./bench/soak -duration 15m
	go run ./bench/memory -duration 3m
	go run ./bench/memory -limit 134.2 -duration 3m # 128 MiB: what deploy/ sets
	WATTMARK_CRASHES=200 go test -count 1 -run 'KilledAtRandomPoints|HungDriverFigures' -v ./cmd/wattmark
	WATTMARK_KILLS=200 go test -run KilledDaemon -v ./cmd/wattmark
	go run ./bench/nodes

test-page: ## the live page in Chromium, with axe-core: needs node, npm and chromium
	page/browser/test.sh

release: ## dist/: tarballs for amd64 and arm64, SBOM, checksums
	deploy/release/release.sh dist

test-real: ## what needs engines from Debian's packages, and root: containers, Slurm, systemd, Kubernetes, a release
	deploy/release/test.sh
	deploy/systemd/test.sh
	go test -tags real -timeout 20m -v ./bench/prometheus
	go test -tags real -timeout 20m -v ./bench/aiperf # 1.2 GB from PyPI; $$AIPERF_ENV names an environment that has AIPerf
	deploy/container/test.sh
	deploy/kubernetes/test.sh
	deploy/slurm/test.sh
	cd deploy/check && go test ./...
	page/browser/test.sh

scripts: ## where shellcheck is installed; .ci/run installs it
	if command -v shellcheck >/dev/null; then shellcheck -x -S warning .ci/run $$(git ls-files '*.sh'); fi

lint:
	$(GOLANGCI_LINT) run ./...

clean:
	rm -rf bin dist
