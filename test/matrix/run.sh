#!/usr/bin/env bash
# test/matrix/run.sh VERSION… runs the Go tests of all SQL on versions of PostgreSQL, one after the
# other, and prints a table. The servers are in node_modules. PACKAGES selects other tests.
set -uo pipefail
cd "$(dirname "$0")/../.."
packages=${PACKAGES:-./migrations ./internal/postgres ./internal/testdb ./internal/sandbox ./test/export ./test/e2e}
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
gotestsum=$(go tool -n -modfile=internal/tools/go.mod gotestsum) || exit 1
ensure=$results/ensure
go build -o "$ensure" ./internal/localpg/cmd/ensure || exit 1

table=() failed=0
for version in "$@"; do
  package=$PWD/test/matrix/node_modules/postgresql-$version
  # npm does not run the packages' own scripts (.npmrc).
  (cd "$package" && node scripts/hydrate-symlinks.js) || exit 1
  found=$(PATH=$package/native/bin:$PATH "$ensure") || exit 1
  [ "$found" = "$package/native/bin" ] || { echo "the tests would run on $found"; exit 1; }
  json=$results/$version.json
  SECONDS=0
  # shellcheck disable=SC2086 # packages are words
  PATH=$package/native/bin:$PATH TALON_TEST_DATABASE_URL='' \
    "$gotestsum" --format pkgname --jsonfile "$json" -- -count 1 -timeout 20m $packages || failed=1
  count() { grep -c "\"Action\":\"$1\".*\"Test\":" "$json"; }
  name=$("$package/native/bin/postgres" --version | awk '{print $3}')
  passed=$(count pass) failures=$(count fail)
  [ "$passed" -gt 0 ] || failed=1
  table+=("$(printf '%-10s %6d %9d %5d s' "$name" "$((passed + failures))" "$failures" "$SECONDS")")
done
printf '\n%-10s %6s %9s %7s\n' PostgreSQL tests failures time
printf '%s\n' "${table[@]}"
exit $failed
