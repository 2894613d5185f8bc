# Every target does its own set-up on a machine that has Go and make; nothing needs root.

GO          ?= go
SEEDS       ?= 1000
SECONDS     ?= 30
N           ?= 5
TIMES       ?= 1
LEDGER      ?=
FUZZTIME    ?= 10s
ARGS        ?=

# How much a night is (make nightly): simulated worlds, states of each deep exploration, leaders killed,
# operations under everything at once, requests that etcd is asked as well.
WORLDS      ?= 20000
STATES      ?= 2000000
KILLS       ?= 200
OPERATIONS  ?= 20000
REQUESTS    ?= 100000

# For how long make soak keeps healthy servers busy; with a slow disk, half as long.
SOAK        ?= 20m

# Tools, by exact version: they are built on first use and are no dependencies of the product.
STATICCHECK := $(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.1
GOVULNCHECK := $(GO) run golang.org/x/vuln/cmd/govulncheck@v1.8.0

GOFMT       := "$$($(GO) env GOROOT)/bin/gofmt"

# Packages with goroutines. The others are single-threaded by design, and slow under the detector.
RACE_LEAVES_OUT := /(raft|wire|sim|check|check/spec|scenario|internal/tidy)$$
RACE_PACKAGES    = $$($(GO) list ./... | grep -vE '$(RACE_LEAVES_OUT)')

.DEFAULT_GOAL := help
.PHONY: help up build test check fix race bench differ sim lab planted fuzz process soak nightly vuln clean go gcc

help: ## print this list
	@echo 'Quorate: what make can do'
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: build ## build, and run a cluster on this machine until Ctrl-C (ARGS="--help" tells what else)
	bin/quorate up $(ARGS)

build: go ## build bin/quorate
	$(GO) build -trimpath -o bin/quorate ./cmd/quorate

test: go ## everything a change must pass, except for check
	$(GO) test -timeout 20m ./...
	$(GO) -C bench test ./...

check: go ## format, vet, staticcheck, the house rules, go.mod; changes nothing
	@unformatted=$$($(GOFMT) -l .); if [ -n "$$unformatted" ]; then \
		echo "not formatted (make fix does it):"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) -C bench vet ./...
	$(STATICCHECK) ./...
	cd bench && $(STATICCHECK) ./...
	$(GO) test -count=1 ./internal/tidy
	$(GO) mod verify
	$(GO) mod tidy -diff
	$(GO) -C bench mod tidy -diff

fix: go ## format the sources and tidy go.mod
	$(GOFMT) -w .
	$(GO) mod tidy
	$(GO) -C bench mod tidy

race: go gcc ## the tests of all packages with goroutines under the race detector
	$(GO) test -race -timeout 15m -skip '^TestProcess' $(RACE_PACKAGES)

bench: build ## compare with etcd, side by side in one run (ARGS="-help" tells what can be varied)
	$(GO) -C bench run . -quorate ../bin/quorate $(ARGS)

differ: build ## ask etcd and Quorate the same, at random, and compare every field (ARGS="-n 100000 -seed 7")
	$(GO) -C bench run ./differ -quorate ../bin/quorate $(ARGS)

sim: build ## SEEDS=1000 simulated worlds of SECONDS=30 simulated seconds each
	bin/quorate sim --seeds $(SEEDS) --seconds $(SECONDS) $(ARGS)

lab: build ## play a scenario on the real core, step by step (ARGS=figure-8; without: the list)
	@bin/quorate lab $(or $(ARGS),--list)

planted: go ## plant N=5 known bugs, each TIMES=1 times; the simulator must catch each (LEDGER=FILE keeps what came of it)
	$(GO) test -count=1 -v -timeout 4h -run '^TestPlantedBugs' ./sim -planted $(N) -planted.times $(TIMES) \
		$(if $(LEDGER),-planted.ledger $(abspath $(LEDGER)))

fuzz: go ## every fuzzer for FUZZTIME=10s; inputs that break something are kept under testdata
	@set -e; grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u | while read -r dir; do \
		for name in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$$dir"/*_test.go); do \
			echo "$$dir $$name"; \
			$(GO) -C "$$dir" test -run '^$$' -fuzz "^$$name$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x . </dev/null; \
		done; done

process: build ## real servers as processes: kill -9, pauses, cut links, full and failing disks
	$(GO) test -count=1 -timeout 20m -run '^TestProcess' ./cmd/quorate $(ARGS)

soak: build ## healthy servers, busy for SOAK=20m, and half as long with a slow disk: no election without a cause (LEDGER=FILE)
	$(GO) test -count=1 -v -timeout 24h -run '^TestProcessHealthyServers' ./cmd/quorate -process.soak $(SOAK) -process.complete \
		$(if $(LEDGER),-process.ledger $(abspath $(LEDGER)))

# What was finished stays if it is interrupted; the next run goes on behind it.
nightly: build ## the long nets, into ledgers under docs/results (WORLDS=20000 STATES=2000000 KILLS=200 OPERATIONS=20000 REQUESTS=100000 bound it)
	bin/quorate sim --ledger docs/results/simulation.jsonl --seeds $(WORLDS) --commit "$$(git rev-parse --short=12 HEAD)"
	bin/quorate sim --twice --seeds 1000
	$(GO) test -count=1 -v -timeout 30m -run '^TestNoCrash' ./wal -crash.deep -crash.ledger $(CURDIR)/docs/results/crash.jsonl
	$(GO) test -count=1 -v -timeout 2h -run '^TestExplore' ./raft -explore.deep $(STATES) \
		-explore.ledger $(CURDIR)/docs/results/exploration.jsonl
	$(GO) test -count=1 -v -timeout 3h -run '^TestPlantedBugs' ./sim -planted all -planted.times 3 \
		-planted.ledger $(CURDIR)/docs/results/planted.jsonl
	$(GO) test -count=1 -v -timeout 1h -run '^TestPlantedBugsAreCaughtByProcesses' ./cmd/quorate -process.planted
	$(GO) test -count=1 -v -timeout 3h -run '^TestProcessKilledLeaders' ./cmd/quorate \
		-process.kills $(KILLS) -process.ledger $(CURDIR)/docs/results/process.jsonl
	$(GO) test -count=1 -v -timeout 3h -run '^TestProcessHistoriesHold' ./cmd/quorate \
		-process.operations $(OPERATIONS) -process.ledger $(CURDIR)/docs/results/process.jsonl
	$(GO) -C bench run ./differ -quorate ../bin/quorate -n $(REQUESTS) \
		-ledger $(CURDIR)/docs/results/differ.jsonl -commit "$$(git rev-parse --short=12 HEAD)"

vuln: go ## known vulnerabilities in what we depend on (asks the Go vulnerability database)
	$(GOVULNCHECK) ./...

clean: ## remove what was built; the data of servers stays
	rm -rf bin

go:
	@command -v $(GO) >/dev/null 2>&1 || { \
		echo "Quorate needs Go $$(sed -n 's/^go //p' go.mod) or newer, and there is no Go here."; \
		echo "Install it from https://go.dev/dl/ and run make again."; exit 1; }
	@$(GO) list -m >/dev/null 2>&1 || { \
		echo "Quorate needs Go $$(sed -n 's/^go //p' go.mod) or newer; this is $$($(GO) version 2>/dev/null), which says:"; \
		$(GO) list -m; \
		echo "Install a newer one from https://go.dev/dl/ and run make again."; exit 1; }

gcc:
	@[ "$$($(GO) env CGO_ENABLED)" = 1 ] && command -v $$($(GO) env CC) >/dev/null 2>&1 || { \
		echo "The race detector needs a C compiler (gcc or clang); install one and run make again."; exit 1; }
