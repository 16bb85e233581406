# go-nvml's generated code uses what its own header deprecates; the rest are Go's defaults.
export CGO_CFLAGS ?= -O2 -g -Wno-deprecated-declarations
# A missing NVML symbol must stay unbound until its first use: never link with -z now.
GOLANGCI_LINT ?= go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

.PHONY: build demo test check check-static lint clean

build: ## bin/wattmark
	go build -trimpath -o bin/wattmark ./cmd/wattmark

demo: build ## the whole story on simulated GPUs
	bin/wattmark demo

test: ## every test; needs Go and a C compiler, no GPU
	go test -race ./...

check: check-static test ## what CI runs

check-static: lint
	go vet ./...
	CGO_ENABLED=0 go vet ./vendor_nvidia ./vendor_amd
	GOOS=darwin CGO_ENABLED=0 go vet ./vendor_nvidia ./vendor_amd

lint:
	$(GOLANGCI_LINT) run ./...

clean:
	rm -rf bin
