# Every target runs on a fresh machine with Go 1.26; tests also need a redis-server, which `make redis` finds or installs.
GO ?= go

.PHONY: test race lint cross cross-build servers matrix pitfalls chaos soak model fuzz fuzz-ci bench bench-full bench-pubsub bench-capacity build redis

# Each test runs once. Those of what shares memory run under the race detector where there is a C compiler, as it needs one;
# the others only run built programs, or one thing after the other, or count allocations (what internal/codec shares, the
# tests of queue and pubsub meet). The longest begin first. The Lua of the in-memory server is left as it is, as one goroutine
# at a time runs it: observed, it would take a fifth of the worker's tests.
RACE := $(shell command -v $$($(GO) env CC) >/dev/null && echo -race -gcflags=github.com/yuin/gopher-lua/...=-race=false)
PLAIN = -e /examples/ -e /cmd/ -e /internal/blackbox -e /internal/chaos -e /internal/matrix -e /internal/pitfalls \
  -e /internal/broker$$ -e /internal/codec$$ -e /internal/budget -e /internal/brokertest -e /internal/floors -e /internal/redistest \
  -e /internal/doctor -e /internal/cli$$ -e /internal/keys -e /internal/nearest -e /internal/wire$$ -e /internal/workerfile

PLAINLY = $$($(GO) list ./... | grep $(PLAIN))
RACED = ./queue ./worker ./pubsub $$($(GO) list ./... | grep -v $(PLAIN))

test: redis ## every test
	$(GO) test -p 4 $(PLAINLY)
	@$(MAKE) -s race

race: redis ## the tests of what shares memory, under the race detector
	$(GO) test -p 4 $(RACE) $(RACED)

redis: ## a redis-server for the tests: found, installed (Debian, as root), or the line that installs it
	@.ci/redis

SERVERS ?= $(CURDIR)/.servers
servers: redis ## the tests on Redis 8.0, Valkey 8.0 and Valkey 9 too (or on those that TIDEMILL_TEST_SERVERS names)
	@list=$${TIDEMILL_TEST_SERVERS:-$$(.ci/servers $(SERVERS) | sed -n 's/^TIDEMILL_TEST_SERVERS=//p')} && \
	  TIDEMILL_TEST_SERVERS=$$list GO=$(GO) .ci/each-server ./...

build: ## both binaries into bin/
	$(GO) build -o bin/ ./cmd/...

# Each package as it is compiled for its tests: not twice. The tool itself is built as it is.
lint: ## gofmt, vet, staticcheck
	@files=$$(gofmt -l .); [ -z "$$files" ] || { echo "not gofmt'd: $$files"; exit 1; }
	$(GO) vet $(PLAINLY)
	$(GO) vet $(RACE) $(RACED)
	$(GO) tool -modfile=tools/go.mod staticcheck $(PLAINLY)
	tool=$$($(GO) tool -modfile=tools/go.mod -n staticcheck) && GOFLAGS="$$GOFLAGS $(RACE)" $$tool $(RACED)
	cd bench && $(GO) vet ./...
	cd tools && $(GO) vet ./...

cross: ## type-check for the other systems, which finds what does not compile there
	$(GO) run -C tools ./crosstypes .. darwin/arm64 windows/amd64

cross-build: ## compile and link for the other systems: make cross in long
	GOOS=darwin GOARCH=arm64 $(GO) build ./...
	GOOS=windows GOARCH=amd64 $(GO) build ./...

PLANS ?= 10000
model: ## the model test on many plans: make model PLANS=10000
	$(GO) test ./internal/broker/ -run TestModel -rapid.checks=$(PLANS) -timeout 60m

pitfalls: JOBS ?= 100000
pitfalls: FIRE ?= 60s
pitfalls: redis ## the pitfalls' tests, the first with as many jobs and pub/sub under fire for as long as told: make pitfalls JOBS=100000 FIRE=60s
	$(GO) test ./internal/pitfalls/ -count=1 -v -timeout 2h -args -jobs=$(JOBS) -fire=$(FIRE)

matrix: redis ## the failure matrix at full size: outages of 60 s and 30 s at the default TTL
	$(GO) test ./internal/matrix -full -v -count=1 -timeout 20m

FUZZTIME ?= 60s
fuzz: ## every fuzz target in turn: make fuzz FUZZTIME=60s
	@for pkg in $$($(GO) list ./...); do \
	  for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
	    echo "$$pkg $$target"; $(GO) test $$pkg -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1s || exit 1; \
	  done; \
	done

# What people and other programs hand in: envelope, keys, worker.yaml, lines for enqueue. The tests' own builds are fuzzed, as
# building all they import anew, so as to be guided by what is reached, takes minutes: that is make fuzz.
fuzz-ci: ## 100,000 inputs for each of those four, unguided: make fuzz-ci FUZZTIME=10s
	@dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; \
	for pair in internal/wire:FuzzEnvelope internal/keys:FuzzKeys internal/workerfile:FuzzParse cmd/enqueue:FuzzLine; do \
	  pkg=$${pair%:*}; \
	  $(GO) test -c -o "$$dir/fuzz" ./$$pkg || exit 1; \
	  (cd $$pkg && "$$dir/fuzz" -test.run '^$$' -test.fuzz "^$${pair#*:}\$$" -test.fuzztime $(FUZZTIME) -test.parallel 1 \
	    -test.fuzzcachedir "$$dir/cache") >"$$dir/log" 2>&1 || { cat "$$dir/log"; exit 1; }; \
	  echo "$$pkg: $$(tail -2 "$$dir/log" | head -1)"; \
	done
fuzz-ci: FUZZTIME = 100000x

SEED ?= 1,2,3
DURATION ?= $(if $(HOURS),$(HOURS)h,2m)
FAULTS ?= kill,stop,term,proxy,loss,flush,restart
chaos: JOBS ?= 100000
chaos: redis ## processes under faults, a table at the end: make chaos SEED=7 JOBS=100000 DURATION=2m (or HOURS=8) FAULTS=kill,stop
	$(GO) test ./internal/chaos -run '^TestChaos$$' -v -count=1 -timeout 0 -args \
	  -chaos.seed=$(SEED) -chaos.jobs=$(JOBS) -chaos.duration=$(DURATION) -chaos.faults=$(FAULTS)

soak: JOBS ?= 10000000
soak: redis ## many jobs, then memory as before: make soak JOBS=10000000
	$(GO) test ./internal/chaos -run '^TestSoak$$' -v -count=1 -timeout 0 -args -soak.jobs=$(JOBS)

bench: redis ## side by side with other queues, in under 30 minutes: tables, and docs/benchmarks.md with its plots
	cd bench && $(GO) run . -doc ../docs

bench-full: redis ## every system, every curve and a backlog of 10 million (5 GB of memory), for some hours; docs/benchmarks.md
	cd bench && $(GO) run -tags machinery . -systems all -curves all -backlog 10000000 -within 0 -doc ../docs

bench-pubsub: redis ## pub/sub side by side with other systems, in under 5 minutes, tables at the end
	cd bench && $(GO) run ./pubsub

bench-capacity: redis ## what a job costs Redis, in under 3 minutes: docs/capacity.json and the tables of docs/capacity.md
	cd bench && $(GO) run ./capacity -doc ../docs
