# Everything that is done to this repository, by name. `make help` lists it.

GOLANGCI_VERSION := v2.15.0
BIN              := $(CURDIR)/bin
# The race detector needs cgo; `go env` says 0 where there is no C compiler.
RACE             := $(shell [ "$$(go env CGO_ENABLED)" = 1 ] && echo -race)
TEST_TIMEOUT     ?= 9m
FUZZTIME         ?= 30s
KILLS            ?= 2000
SOAK             ?= 10m

# A golangci-lint of the pinned version that is on the PATH already saves a long build.
LINT := $(shell golangci-lint version 2>/dev/null | grep -q " $(GOLANGCI_VERSION:v%=%) " && command -v golangci-lint || echo $(BIN)/golangci-lint-$(GOLANGCI_VERSION))

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/senpuki
	go build -trimpath -o $(BIN)/senpuki ./cmd/senpuki

.PHONY: check
check: format vet lint test tidy cross ## what CI asks for: format, vet, lint, tests, tidy modules, other systems

.PHONY: format
format: ## fail when gofmt would change a file
	@out=$$(gofmt -l $$(git ls-files --cached --others --exclude-standard '*.go')); \
	if [ -n "$$out" ]; then echo "gofmt would change:"; echo "$$out"; exit 1; fi

.PHONY: vet
vet: ## go vet
	go vet ./...

.PHONY: lint
lint: $(LINT) ## golangci-lint with .golangci.yml
	$(LINT) run ./...

$(BIN)/golangci-lint-$(GOLANGCI_VERSION):
	GOBIN=$(BIN) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	mv $(BIN)/golangci-lint $@

.PHONY: servers
servers: ## install PostgreSQL and Redis for the tests, where that can be done
	@.ci/servers

.PHONY: peers
peers: ## run the workloads of bench/ on Senpuki and its peers, and write docs/benchmarks.md; takes an hour
	cd bench && go run . -out ../docs/benchmarks.md $(PEERS)

.PHONY: test
test: servers ## all tests, with the race detector where there is a C compiler
	go test $(RACE) -timeout $(TEST_TIMEOUT) ./...

.PHONY: tidy
tidy: ## fail when go mod tidy would change something
	go mod tidy -diff

.PHONY: cross
cross: ## compile for the other systems, without cgo
	CGO_ENABLED=0 GOOS=darwin GOARCH=arm64 go build -o /dev/null ./cmd/senpuki
	CGO_ENABLED=0 GOOS=windows GOARCH=amd64 go build -o /dev/null ./cmd/senpuki

.PHONY: bench
bench: ## measure SQLite and fail when it is worse than recorded; then every Go benchmark
	go run ./cmd/senpuki bench --compare cmd/senpuki/bench/recorded.json
	go test -run '^$$' -bench . -benchmem ./...

.PHONY: bench-once
bench-once: ## one iteration of every benchmark, so that they stay alive
	go test -run '^$$' -bench . -benchtime 1x ./...

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (30s)
	@set -e; for pkg in $$(go list ./...); do \
	  for target in $$(go test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
	    echo "== $$pkg $$target"; \
	    go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$pkg; \
	  done; \
	done

.PHONY: soak
soak: ## random scripts (500, and 50 in SQLite files); kill a workflow KILLS (2000) times; disturb workers on SQLite, then on PostgreSQL, for SOAK (10m) each
	go test -run '^TestRandomScripts$$' -timeout 0 ./engine -args -random.seed 0 -random.n 500
	go test -run '^TestRandomScripts$$' -timeout 0 ./engine -args -random.seed 0 -random.n 50 -random.file
	go test -run '^TestKill$$' -timeout 0 -v ./cmd/senpuki -args -kills $(KILLS)
	go test -run '^TestSoak$$' -timeout 0 -v ./cmd/senpuki -args -soak $(SOAK)
	go test -run '^TestChaos$$' -timeout 0 -v ./cmd/senpuki -args -chaos $(SOAK)

.PHONY: release
release: ## archives for every system, with checksums, in dist/
	deploy/release.sh

.PHONY: reproducible
reproducible: ## build one target of the release twice from nothing; fail unless both are the same
	deploy/reproducible.sh

.PHONY: site
site: ## the documentation as HTML in dist/site
	go run ./docs/site -out dist/site

.PHONY: clean
clean: ## remove what was built
	rm -rf $(BIN) dist
