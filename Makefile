# Every target runs on a fresh machine with Go 1.26; tests also need a redis-server, which `make redis` finds or installs.
GO ?= go
STATICCHECK = $(GO) tool -modfile=tools/go.mod staticcheck

.PHONY: test race lint cross model fuzz bench build redis

test: redis ## every test
	$(GO) test ./...

race: redis ## every test under the race detector
	$(GO) test -race ./...

redis: ## a redis-server for the tests: found, installed (Debian, as root), or the line that installs it
	@.ci/redis

build: ## both binaries into bin/
	$(GO) build -o bin/ ./cmd/...

lint: ## gofmt, vet, staticcheck
	@files=$$(gofmt -l .); [ -z "$$files" ] || { echo "not gofmt'd: $$files"; exit 1; }
	$(GO) vet ./...
	$(STATICCHECK) ./...
	cd bench && $(GO) vet ./...

cross: ## compile for the other systems
	GOOS=darwin GOARCH=arm64 $(GO) build ./...
	GOOS=windows GOARCH=amd64 $(GO) build ./...

PLANS ?= 10000
model: ## the model test on many plans: make model PLANS=10000
	$(GO) test ./internal/broker/ -run TestModel -rapid.checks=$(PLANS) -timeout 60m

FUZZTIME ?= 60s
fuzz: ## every fuzz target in turn: make fuzz FUZZTIME=60s
	@for pkg in $$($(GO) list ./...); do \
	  for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
	    echo "$$pkg $$target"; $(GO) test $$pkg -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) || exit 1; \
	  done; \
	done

bench: redis ## side by side with other queues, a table at the end
	cd bench && $(GO) run .
