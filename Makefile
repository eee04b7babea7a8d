# The pipeline: change openapi.yaml, queries or migrations, run make gen, fill in, run make test.
SHELL := /bin/bash
GENERATED := gen sdk/go/client sdk/go/rules.gen.go docs/answers.md docs/settings.md internal/booking/catalogue.gen.go internal/httpapi/server/catalogue.gen.go
TOOL  := go tool -modfile=internal/tools/go.mod
LINT  := go tool -modfile=internal/tools/golangci/go.mod golangci-lint
RACE  := $(shell command -v gcc clang >/dev/null && echo -race)

# How many modules go build has downloaded and packages it has compiled; all else is an error, and is shown.
define PROGRESS
/^go: downloading /{ modules++; printf "\r  %d modules downloaded", modules; fflush(); next }
/^[^ #:]+$$/{ packages++; printf "\r  %d packages compiled   ", packages; fflush(); next }
{ print }
END { if (modules + packages) print "" }
endef
export PROGRESS

NPM   := npm --no-audit --no-fund --no-update-notifier

.PHONY: help run demo-reset build test consumers consumers-check sdk sdk-build contract mock portal portal-test pictures test-hours test-long chaos fuzz bench-data bench profile gen gen-check versions release lint postgres

help: ## Show this
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

run: build ## Start the service with demo data, on a private PostgreSQL where DATABASE_URL is not set
	@exec bin/talon-sandbox

demo-reset: build ## Put the demo data back as on the first day
	@bin/talon-sandbox reset

build: ## Build bin/talon and bin/talon-sandbox
	@echo "building bin/talon and bin/talon-sandbox (the first time this downloads and compiles some 400 packages)" >&2
	@set -o pipefail; go build -v -o bin/ ./cmd/... 2>&1 | awk "$$PROGRESS" >&2

RESULTS ?= .cache/test
test: postgres ## Run every Go test, with the race detector where there is a C compiler, and print the ten slowest
	@mkdir -p $(RESULTS)
	@gotestsum=$$(go tool -n -modfile=internal/tools/go.mod gotestsum) && results=$$(realpath $(RESULTS)) && failed=0; \
	$$gotestsum --format pkgname --jsonfile $$results/go.json -- $(RACE) -timeout 15m ./... || failed=1; \
	(cd sdk/go && $$gotestsum --format pkgname --jsonfile $$results/sdk.json -- $(RACE) -timeout 15m ./...) || failed=1; \
	echo; echo "the ten slowest tests:"; $$gotestsum tool slowest --jsonfile $$results/go.json --num 10; exit $$failed

consumers: sdk contract portal-test ## Run all that those who build on Talon rely on: SDK, pacts, Prism, the page in a browser, generated requests (needs Node and Chromium)
	TALON_GENERATED_REQUESTS=20000 go test -count 1 -timeout 20m -v -run '^TestGenerated' ./test/generated

consumers-check: portal # What make sdk, make portal and the pacts' tests write is what is committed
	@changes=$$(git status --porcelain -- sdk/typescript/src/gen portal/dist contracts/pacts); \
	if [ -n "$$changes" ]; then echo "not what its sources make of it:"; echo "$$changes"; exit 1; fi

sdk: build sdk/typescript/node_modules ## Generate the TypeScript SDK from the contract, test it against the real service, and measure it
	$(NPM) --prefix sdk/typescript run gen
	$(NPM) --prefix sdk/typescript test
	$(NPM) --prefix sdk/typescript run size

sdk-build: sdk/typescript/node_modules
	$(NPM) --prefix sdk/typescript run build

contract: build sdk-build contracts/node_modules ## Write the consumers' pacts and verify them, and hold the service against its contract with Prism
	$(NPM) --prefix contracts test

mock: contracts/node_modules ## Serve the contract's examples without a service (Prefer: code=400, example=slot_full)
	$(NPM) --prefix contracts run mock

portal: sdk/typescript/node_modules portal/node_modules ## Build the page that books, which is embedded in the sandbox
	$(NPM) --prefix portal run build

portal-test: build portal # The page and Swagger UI in Debian's Chromium
	$(NPM) --prefix portal test

pictures: build portal ## Make the pictures of the documentation
	$(NPM) --prefix portal run pictures

%/node_modules: %/package-lock.json
	$(NPM) --prefix $* ci
	@touch $@

test-hours: postgres sdk-build portal/node_modules contracts/node_modules ## Run the tests that use the clock as if it were other hours (HOURS="23:58 11:32", in Moscow; SUITES="go sdk portal contracts")
	test/clock/hours.sh $(HOURS)

test-long: postgres ## Run the races for hundreds of rounds, the model for thousands of histories, and a hundred thousand generated requests
	TALON_RACE_ROUNDS=300 TALON_MODEL_CHECKS=2000 TALON_GENERATED_REQUESTS=100000 go test $(RACE) -timeout 60m -v \
		-run '^(Test(Cancel|Move|Hold)?Races|TestModel.*|TestGenerated.*)$$' ./test/...

chaos: postgres ## Kill, cut and hang everything under load, and count what was lost
	go test -tags chaos -count 1 -timeout 10m -v -run TestChaos ./test/chaos

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

bench: postgres ## Measure bookings against a minimal booking and the database's own limit (SCALE=0.01,0.1,1), and against an earlier commit (BASE=commit); needs wrk
	go run ./bench run -scale $(SCALE) -base '$(BASE)'

profile: postgres ## Leave a CPU and an allocation profile of the booking path in bench/results
	go run ./bench profile -scale $(SCALE)

gen: ## Generate gen/, docs/answers.md and docs/settings.md from openapi.yaml, queries, migrations and the two tables
	$(TOOL) oapi-codegen -config gen/api/models.cfg.yaml openapi.yaml
	$(TOOL) oapi-codegen -config gen/api/server.cfg.yaml openapi.yaml
	$(TOOL) oapi-codegen -config gen/sandboxapi/sandbox.cfg.yaml openapi.yaml
	$(TOOL) oapi-codegen -config sdk/go/client/client.cfg.yaml openapi.yaml
	$(TOOL) sqlc generate
	go run ./internal/rulegen
	go run ./internal/booking/settings > docs/settings.md

gen-check: gen ## Fail where what is generated differs from what its sources say
	@changes=$$(git status --porcelain -- $(GENERATED)); \
	if [ -n "$$changes" ]; then echo "not what make gen writes:"; echo "$$changes"; git diff -- $(GENERATED) | head -100; exit 1; fi

versions: ## Fail where the contract's version, the changelog or the SDK's version is not what has changed
	@go run -C internal/tools/semver .
	go test -C internal/tools/semver ./...

release: versions ## Keep the contract as released, date its section of the changelog, commit and tag vX.Y.Z
	@go run -C internal/tools/semver . release

lint: ## Run the linters of Go, migrations and queries
	$(LINT) run --build-tags chaos ./...
	go vet -tags comparison ./bench
	for module in internal/tools/semver sdk/go; do \
		(linter=$$(go tool -n -modfile=internal/tools/golangci/go.mod golangci-lint) && cd $$module && $$linter run ./...) || exit 1; done
	go test -C internal/tools ./sqllint
	go run -C internal/tools ./sqllint ../..

postgres: # PostgreSQL 14 or newer is there, or gets installed where that is allowed
	@go run ./internal/localpg/cmd/ensure >/dev/null
