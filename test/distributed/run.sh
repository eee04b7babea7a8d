#!/usr/bin/env bash
# test/distributed/run.sh runs the tests that use the database on a distributed PostgreSQL (Citus),
# and prints a table. TALON_CITUS_URL is a database on its coordinator, with the extension and the
# workers, which talk without TLS (citus.node_conninfo = sslmode=disable), so that a test may cut their
# connections; the tests create databases of their own on all nodes. PACKAGES selects other tests, RUN
# those that match an expression. not_run.txt lists those that cannot run there.
set -uo pipefail
cd "$(dirname "$0")/../.."
if [ -z "${TALON_CITUS_URL:-}" ]; then
  echo "make test-distributed needs TALON_CITUS_URL, the URL of a database on the coordinator of a Citus cluster" >&2
  exit 1
fi
packages=${PACKAGES:-./migrations ./internal/postgres ./internal/distribution ./internal/registry
  ./internal/events ./internal/webhook ./internal/mip ./internal/audit ./internal/sandbox ./test/harness
  ./test/distributed ./test/model ./test/generated ./test/export ./test/e2e}
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
gotestsum=$(go tool -n -modfile=internal/tools/go.mod gotestsum) || exit 1

# listed PACKAGE prints the lines of not_run.txt with its tests: «name reason».
listed() { awk -v package="$1" '$1 == package { $1 = ""; print substr($0, 2) }' test/distributed/not_run.txt; }

table=() failed=0
for package in $packages; do
  # A test is TestX or TestX/sub; -skip compares each part.
  skip=$(listed "$package" | awk '{ gsub("/", "$/^", $1); printf "%s^%s$", (NR > 1 ? "|" : ""), $1 }')
  json=$results/$(tr / _ <<<"$package").json
  SECONDS=0
  # Waits are longer than on one PostgreSQL, and each test has connections to all nodes.
  "$gotestsum" --format pkgname --jsonfile "$json" -- -tags distributed -count 1 -parallel "${PARALLEL:-6}" \
    -timeout 60m -run "${RUN:-.}" -skip "$skip" "$package" || failed=1
  count() { grep -c "\"Action\":\"$1\".*\"Test\":" "$json"; }
  table+=("$(printf '%-25s %6d %6d %7d %5d s' "$package" "$(count pass)" "$(count fail)" "$(listed "$package" | wc -l)" "$SECONDS")")
done
printf '\n%-25s %6s %6s %7s %7s\n' package passed failed not\ run time
printf '%s\n' "${table[@]}"
printf '\nnot run there:\n'
grep -v '^#' test/distributed/not_run.txt
exit $failed
