# The pipeline: change openapi.yaml, queries or migrations, run make gen, fill in, run make test.
SHELL := /bin/bash
TOOL  := go tool -modfile=internal/tools/go.mod
LINT  := go tool -modfile=internal/tools/golangci/go.mod golangci-lint

.PHONY: help run demo-reset build test gen gen-check lint ci

help: ## Show this
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

run: build ## Start the service with demo data, on a private PostgreSQL where DATABASE_URL is not set
	@exec bin/talon demo

demo-reset: build ## Put the demo data back as on the first day
	@bin/talon demo --reset

build: ## Build bin/talon
	@go build -o bin/talon ./cmd/talon

test: postgres ## Run every test, with the race detector
	@$(TOOL) gotestsum --format pkgname -- -race -timeout 15m ./...

gen: ## Generate gen/ from openapi.yaml, queries and migrations
	$(TOOL) oapi-codegen -config gen/api/models.cfg.yaml openapi.yaml
	$(TOOL) oapi-codegen -config gen/api/server.cfg.yaml openapi.yaml
	$(TOOL) oapi-codegen -config gen/client/client.cfg.yaml openapi.yaml
	$(TOOL) sqlc generate

gen-check: gen ## Fail where gen/ differs from what its sources say
	@changes=$$(git status --porcelain -- gen); if [ -n "$$changes" ]; then echo "gen/ is not what make gen writes:"; echo "$$changes"; git diff -- gen | head -100; exit 1; fi

lint: ## Run the linters
	$(LINT) run ./...

.PHONY: postgres
postgres: # PostgreSQL 14 or newer is there, or gets installed where that is allowed
	@go run ./internal/localpg/cmd/ensure >/dev/null

ci: gen-check lint test ## What CI runs
