# Workflow: change openapi.yaml, queries or migrations, run make gen, adapt the code, run make test.
SHELL := /bin/bash
GENERATED := gen sdk/go/client sdk/go/rules.gen.go sdk/go/pages.gen.go docs/answers.md docs/settings.md internal/booking/catalogue.gen.go internal/httpapi/server/catalogue.gen.go
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

.PHONY: help run demo-reset build test test-distributed consumers consumers-check sdk sdk-build sdk-artefacts contract contract-lint generators mock portal redoc portal-test lighthouse pictures test-hours test-matrix test-long chaos chaos-distributed drills failover fuzz bench-data bench bench-import profile gen gen-check versions release package package-test alerts lint postgres

help: ## Show this help
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

run: build ## Start the service with demo data, on a private PostgreSQL unless DATABASE_URL is set
	@exec bin/talon-sandbox

demo-reset: build ## Reset the demo data to their initial state
	@bin/talon-sandbox reset

build: ## Build bin/talon and bin/talon-sandbox
	@echo "building bin/talon and bin/talon-sandbox (the first time this downloads and compiles some 400 packages)" >&2
	@set -o pipefail; go build -v -o bin/ ./cmd/... 2>&1 | awk "$$PROGRESS" >&2

RESULTS ?= .cache/test
# Tests that load the demo data or send thousands of requests, most of them one after another, run
# without the race detector, with which they would take two to three times as long; make test-long
# runs them with it. Each package runs one test more at once than there are processors, because a
# test often waits for PostgreSQL.
PARALLEL = $(shell expr $$(nproc) + 1)
LONG := ./internal/sandbox ./test/export ./test/generated ./test/model
test: postgres ## Run the Go tests and print the ten slowest (with a C compiler: the race detector, except on the longest)
	@mkdir -p $(RESULTS) && rm -f $(RESULTS)/*.json
	@gotestsum=$$(go tool -n -modfile=internal/tools/go.mod gotestsum) && results=$$(realpath $(RESULTS)) && failed=0; \
	rest=$$(go list ./... | grep -vxF "$$(go list $(LONG))"); \
	$$gotestsum --format pkgname --jsonfile $$results/go.json -- $(RACE) -parallel $(PARALLEL) -timeout 20m $$rest || failed=1; \
	$$gotestsum --format pkgname --jsonfile $$results/long.json -- -parallel $(PARALLEL) -timeout 20m $(LONG) || failed=1; \
	(cd sdk/go && $$gotestsum --format pkgname --jsonfile $$results/sdk.json -- $(RACE) -timeout 15m ./...) || failed=1; \
	echo; echo "the ten slowest tests:"; cat $$results/*.json | $$gotestsum tool slowest --num 10; exit $$failed

GENERATED ?= 20000
consumers: sdk contract generators portal-test ## Test what clients rely on: SDK, pacts, Prism, generators, the portal in a browser, generated requests (needs Node and Chromium)
	TALON_GENERATED_REQUESTS=$(GENERATED) go test -count 1 -timeout 20m -v -run '^TestGenerated' ./test/generated

consumers-check: portal redoc # Fail if the files written by make sdk, portal, redoc and the pacts' tests differ from the committed ones
	@changes=$$(git status --porcelain -- sdk/typescript/src/gen portal/dist contracts/pacts internal/httpapi/docs); \
	if [ -n "$$changes" ]; then echo "these generated files are not up to date:"; echo "$$changes"; exit 1; fi

sdk: build sdk/typescript/node_modules ## Generate the TypeScript SDK from the contract, test it against the real service, and measure its size
	$(NPM) --prefix sdk/typescript run gen
	$(NPM) --prefix sdk/typescript test
	$(NPM) --prefix sdk/typescript run size

sdk-build: sdk/typescript/node_modules
	$(NPM) --prefix sdk/typescript run build

VERSION = $(shell sed -n 's/^  version: //p' openapi.yaml)
sdk-artefacts: sdk/typescript/node_modules ## Build the SDKs for a release: dist/talon-sdk-X.Y.Z.tgz, and dist/go in the layout of a module proxy
	rm -rf dist sdk/typescript/dist && mkdir dist
	$(NPM) --prefix sdk/typescript run build
	$(NPM) pack --silent --pack-destination dist ./sdk/typescript
	go run -C internal/tools ./moduleproxy $(CURDIR)/sdk/go v$(VERSION) $(CURDIR)/dist/go

contract: build sdk-build contracts/node_modules ## Write and verify the consumers' pacts, validate the service against its contract with Prism, and execute the workflows
	$(NPM) --prefix contracts test

contract-lint: contracts/tools/node_modules ## Lint the contract with Spectral and Redocly (needs Node)
	$(NPM) --prefix contracts/tools run lint

generators: build contracts/tools/node_modules ## Generate clients with five third-party generators, compile them, and test them against the real service
	$(NPM) --prefix contracts/tools test

mock: contracts/node_modules ## Serve the examples of the contract from a mock (select one: Prefer: code=400, example=slot_full)
	$(NPM) --prefix contracts run mock

portal: sdk/typescript/node_modules portal/node_modules ## Build the page that books, which is embedded in the sandbox
	$(NPM) --prefix portal run build

# Redoc's only request to another host is for its maker's logo. An address that is not an image hides it.
REDOC := 2.5.4
redoc: ## Copy Redoc, which renders /docs/reference/, from its npm package into the service
	@folder=$$(mktemp -d) && trap 'rm -r "$$folder"' EXIT && docs=internal/httpapi/docs/reference && \
	npm pack --silent --pack-destination "$$folder" redoc@$(REDOC) >/dev/null && tar -xzf "$$folder"/*.tgz -C "$$folder" && \
	sed 's|https://cdn.redoc.ly/redoc/logo-mini.svg|data:,|' "$$folder/package/bundles/redoc.standalone.js" >$$docs/redoc.standalone.js && \
	cp "$$folder/package/LICENSE" $$docs/LICENSE.txt && \
	cp "$$folder/package/bundles/redoc.standalone.js.LICENSE.txt" $$docs

portal-test: build portal # Test the portal and the documentation in Debian's Chromium
	$(NPM) --prefix portal test

lighthouse: build portal ## Measure the portal's speed and accessibility with Lighthouse (needs Chromium)
	$(NPM) --prefix portal run lighthouse

pictures: build portal ## Make the screenshots of the documentation
	$(NPM) --prefix portal run pictures

%/node_modules: %/package-lock.json
	$(NPM) --prefix $* ci
	@touch $@

test-hours: postgres sdk-build portal/node_modules contracts/node_modules ## Run the tests that use the clock at simulated times (HOURS="23:58 11:32", in Moscow; SUITES="go sdk portal contracts")
	test/clock/hours.sh $(HOURS)

POSTGRES_VERSIONS ?= 14 15 16 17 18
test-matrix: test/matrix/node_modules ## Run the Go tests of all SQL on PostgreSQL 14 to 18, from npm (POSTGRES_VERSIONS="14 18", PACKAGES="./migrations")
	test/matrix/run.sh $(POSTGRES_VERSIONS)

test-distributed: ## Run the tests that use the database on a distributed PostgreSQL (TALON_CITUS_URL; PACKAGES="./migrations", RUN=TestX)
	test/distributed/run.sh

test-long: postgres ## Run 300 rounds of the race tests, 2000 histories of the model, and 100000 generated requests
	TALON_RACE_ROUNDS=300 TALON_MODEL_CHECKS=2000 TALON_GENERATED_REQUESTS=100000 go test $(RACE) -timeout 60m -v \
		-run '^(Test(Cancel|Move|Hold|Registry)?Races.*|TestModel.*|TestGenerated.*)$$' ./test/...
	go test $(RACE) -timeout 30m ./internal/sandbox ./test/export
	go test $(RACE) -timeout 30m -run '^TestOddParameters$$' ./test/generated

chaos: postgres ## Kill and hang processes and cut connections under load, and count lost bookings
	go test -tags chaos -count 1 -timeout 10m -v -run TestChaos ./test/chaos

chaos-distributed: ## Kill workers and the coordinator of a distributed PostgreSQL and move its shards under load, and count lost bookings (TALON_CITUS_URL: a coordinator whose nodes are processes of this machine)
	go test -tags distributed,chaos -count 1 -timeout 20m -v -run '^TestChaos$$' ./test/distributed

drills: postgres ## Practise the restore of a backup, an upgrade under load, and PgBouncer, which is installed if it is missing (TALON_DRILL_BASES="commit …": releases before)
	@command -v pgbouncer >/dev/null || { apt-get update -q && apt-get install -y -q --no-install-recommends pgbouncer; } || \
		{ echo "make drills needs pgbouncer (Debian: apt-get install pgbouncer)"; exit 1; }
	go test -tags drills -count 1 -timeout 20m -v ./test/drills 2>&1 | grep -v '^=== '; exit $${PIPESTATUS[0]}

failover: postgres ## Kill, freeze and switch over nodes of a PostgreSQL cluster (Patroni, etcd, HAProxy) under load, and count lost bookings
	test/failover/install.sh
	go test -tags failover -count 1 -timeout 20m -v -run TestFailover ./test/failover

# A number of executions, not a duration: go test may report an expired duration as a failure.
FUZZTIME ?= 100000x
fuzz: ## Fuzz the parsers of untrusted input: bodies, dates, tokens, key sets (FUZZTIME=100000x each)
	go test ./internal/httpapi -run '^$$' -fuzz '^FuzzRequestBody$$' -fuzztime $(FUZZTIME)
	go test ./internal/booking -run '^$$' -fuzz '^FuzzParseVisitDate$$' -fuzztime $(FUZZTIME)
	go test ./internal/auth -run '^$$' -fuzz '^FuzzVerifyHeader$$' -fuzztime $(FUZZTIME)
	go test ./internal/auth -run '^$$' -fuzz '^FuzzParseJWKS$$' -fuzztime $(FUZZTIME)

SCALE ?= 1
bench-data: postgres ## Create the data of the benchmark (SCALE=1: 10 million cells)
	go run ./bench data -scale $(SCALE)

bench: postgres ## Compare bookings with a minimal booking, with the database's limit (SCALE=0.01,0.1,1), and with an earlier commit (BASE=commit); needs wrk
	go run ./bench run -scale $(SCALE) -base '$(BASE)'

CELLS ?= 1000000
bench-import: postgres ## Measure imports of CELLS cells (10000000: a region), and bookings next to one; needs wrk
	go run ./bench import -cells $(CELLS) -rounds 3

profile: postgres ## Write a CPU and an allocation profile of the booking path to bench/results
	go run ./bench profile -scale $(SCALE)

gen: ## Generate gen/, docs/answers.md and docs/settings.md from openapi.yaml, queries, migrations and the two tables, and update the links of the documents
	$(TOOL) oapi-codegen -config gen/api/models.cfg.yaml openapi.yaml
	$(TOOL) oapi-codegen -config gen/api/server.cfg.yaml openapi.yaml
	$(TOOL) oapi-codegen -config gen/sandboxapi/sandbox.cfg.yaml openapi.yaml
	$(TOOL) oapi-codegen -config sdk/go/client/client.cfg.yaml openapi.yaml
	$(TOOL) sqlc generate
	go run ./internal/rulegen
	go run ./internal/booking/settings > docs/settings.md
	go run ./internal/doclinks

gen-check: gen ## Fail where what is generated differs from what its sources say
	@changes=$$(git status --porcelain -- $(GENERATED)); \
	if [ -n "$$changes" ]; then echo "not what make gen writes:"; echo "$$changes"; git diff -- $(GENERATED) | head -100; exit 1; fi

# Go's cache of results does not see files of another module, such as the contract and the queries.
versions: ## Fail if the version of the contract is too low for its changes, or differs from the changelog or the SDK
	@go run -C internal/tools/semver .
	go test -C internal/tools/semver -count 1 ./...

release: versions test-matrix ## Test on all versions of PostgreSQL, store the contract as released, date its section of the changelog, commit and tag vX.Y.Z, and build the SDKs and packages
	@go run -C internal/tools/semver . release
	@$(MAKE) sdk-artefacts
	@$(MAKE) package

# The commit is packaged, not the work tree: two clones in different folders, which must give equal
# bytes. buildah comes from the distribution.
package: ## Build the binary, deb, rpm, image and SBOM of the last commit into dist/, twice, and compare them
	@command -v buildah >/dev/null || { echo "make package needs buildah (Debian: apt-get install buildah)"; exit 1; }
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && mkdir -p dist && for build in first/a second/b; do \
		mkdir -p "$$folder/$$build" "$$folder/$${build%/*}/out" && git clone -q . "$$folder/$$build/talon" && \
		"$$folder/$$build/talon/deploy/build" "$$folder/$${build%/*}/out" || exit 1; done && \
	diff -r "$$folder/first/out" "$$folder/second/out" && rm -f dist/talon[_-][0-9]* dist/SHA256SUMS && \
	cp "$$folder"/first/out/* dist && (cd dist && find . -type f ! -name SHA256SUMS | sort | xargs sha256sum >SHA256SUMS) && \
	echo "two builds gave equal bytes:" && (cd dist && while read -r sum file; do \
		printf '%10d  %s  %s\n' "$$(stat -c %s "$$file")" "$$sum" "$${file#./}"; done <SHA256SUMS)

package-test: postgres ## Install the deb of dist/, book through the installed service, and remove it (as root, on Debian)
	go test -tags packaged -count 1 -timeout 10m -v ./test/packaged

alerts: ## Check and test the alerts for Prometheus with promtool, which is installed if it is missing (as root, on Debian)
	@command -v promtool >/dev/null || { apt-get update -q && apt-get install -y -q --no-install-recommends prometheus; }
	promtool check rules deploy/monitoring/alerts.yml
	promtool test rules deploy/monitoring/alerts_test.yml

lint: ## Lint Go code, migrations and queries
	.ci/width
	$(LINT) run --build-tags chaos,distributed,drills,failover,packaged ./...
	go vet -tags comparison ./bench
	for module in internal/tools/semver sdk/go; do \
		(linter=$$(go tool -n -modfile=internal/tools/golangci/go.mod golangci-lint) && cd $$module && $$linter run ./...) || exit 1; done
	go test -C internal/tools -count 1 ./sqllint
	go run -C internal/tools ./sqllint ../..

postgres: # Install PostgreSQL unless version 14 or newer is installed
	@go run ./internal/localpg/cmd/ensure >/dev/null
