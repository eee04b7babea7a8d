# The pipeline: change openapi.yaml, queries or migrations, run make gen, fill in, run make test.
SHELL := /bin/bash
TOOL  := go tool -modfile=internal/tools/go.mod
LINT  := go tool -modfile=internal/tools/golangci/go.mod golangci-lint
RACE  := $(shell command -v gcc clang >/dev/null && echo -race)

.PHONY: help run demo-reset build test test-long chaos fuzz bench-data bench profile gen gen-check lint postgres

help: ## Show this
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

run: build ## Start the service with demo data, on a private PostgreSQL where DATABASE_URL is not set
	@exec bin/talon demo

demo-reset: build ## Put the demo data back as on the first day
	@bin/talon demo --reset

build: ## Build bin/talon
	@echo "building bin/talon (the first time this downloads and compiles what it needs)" >&2
	@go build -o bin/talon ./cmd/talon

test: postgres ## Run every test, with the race detector where there is a C compiler
	$(TOOL) gotestsum --format pkgname -- $(RACE) -timeout 15m ./...

test-long: postgres ## Run the races for hundreds of rounds and the model for thousands of histories
	TALON_RACE_ROUNDS=300 TALON_MODEL_CHECKS=2000 go test $(RACE) -timeout 60m -v -run '^(Test(Cancel|Move|Hold)?Races|TestModel.*)$$' ./internal/app

chaos: postgres ## Kill, cut and hang everything under load, and count what was lost
	go test -tags chaos -count 1 -timeout 10m -v -run TestChaos ./internal/app

# By number: where a time runs out in the wrong moment, go reports that as a failure.
FUZZTIME ?= 100000x
fuzz: ## Fuzz what strangers send: bodies, dates, tokens, key sets (FUZZTIME=100000x each)
	go test ./internal/httpapi -run '^$$' -fuzz '^FuzzRequestBody$$' -fuzztime $(FUZZTIME)
	go test ./internal/booking -run '^$$' -fuzz '^FuzzParseVisitDate$$' -fuzztime $(FUZZTIME)
	go test ./internal/auth -run '^$$' -fuzz '^FuzzVerifyHeader$$' -fuzztime $(FUZZTIME)
	go test ./internal/auth -run '^$$' -fuzz '^FuzzParseJWKS$$' -fuzztime $(FUZZTIME)

SCALE ?= 1
bench-data: postgres ## Make the benchmark's data (SCALE=1: 10 million cells)
	go run ./bench data -scale $(SCALE)

bench: postgres ## Measure bookings against the database's own limit (SCALE=0.01,0.1,1); needs wrk
	go run ./bench run -scale $(SCALE)

profile: postgres ## Leave a CPU and an allocation profile of the booking path in bench/results
	go run ./bench profile -scale $(SCALE)

gen: ## Generate gen/, docs/answers.md and docs/settings.md from openapi.yaml, queries, migrations and the two tables
	$(TOOL) oapi-codegen -config gen/api/models.cfg.yaml openapi.yaml
	$(TOOL) oapi-codegen -config gen/api/server.cfg.yaml openapi.yaml
	$(TOOL) oapi-codegen -config gen/client/client.cfg.yaml openapi.yaml
	$(TOOL) sqlc generate
	go run ./internal/booking/answers > docs/answers.md
	go run ./internal/booking/settings > docs/settings.md

gen-check: gen ## Fail where what is generated differs from what its sources say
	@changes=$$(git status --porcelain -- gen docs/answers.md docs/settings.md); \
	if [ -n "$$changes" ]; then echo "not what make gen writes:"; echo "$$changes"; git diff -- gen docs/answers.md docs/settings.md | head -100; exit 1; fi

lint: ## Run the linters
	$(LINT) run ./...

postgres: # PostgreSQL 14 or newer is there, or gets installed where that is allowed
	@go run ./internal/localpg/cmd/ensure >/dev/null
