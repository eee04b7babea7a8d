#!/bin/bash
# Runs the tests that use the machine's clock as if it were other hours: tests must not depend on when they run.
#
#   test/clock/hours.sh [TIME…]   each a time in Moscow that date(1) reads, such as 23:58 or 2027-02-28T11:32
#
# SUITES names what to run: of "go sdk portal contracts", all by default.
#
# CLOCK_OFFSET is the number of seconds that Go and Node processes, and the browser's pages, are ahead.
# Go reads it in a copy of time.Now, which -overlay puts in place of Go's own. Two clocks stay the
# machine's: PostgreSQL's, because the service passes it every time it needs, and that of the pacts'
# verifier, which is not written in Go or JavaScript.
set -euo pipefail
cd "$(dirname "$0")/../.."
moscow() { TZ=Europe/Moscow date "$@"; }
suites=${SUITES:-go sdk portal contracts}
hours=("$@")
# In Moscow days begin three hours before they do in UTC. A suite takes from three seconds to a minute, so
# that midnight comes at different tests with each of the times before it.
[ ${#hours[@]} -gt 0 ] || hours=(00:02 02:59:50 07:59 11:32 17:44 "next sunday 11:44" 23:59:30 23:59:50 23:59:57 "$(moscow +%Y)-12-31T23:59:45")

clock=$PWD/bin/_clock # Go passes over a folder of that name
mkdir -p "$clock"
original=$(go env GOROOT)/src/time/time.go
sed 's/^\tsec, nsec, mono := runtimeNow()$/&\n\tif !runtimeIsBubbled() {\n\t\tsec += clockOffset\n\t}/' "$original" > "$clock/time.go"
grep -q clockOffset "$clock/time.go" || { echo "time.Now of $(go version) is not as this script knows it" >&2; exit 1; }
cat > "$clock/offset.go" <<'GO'
package time

import "syscall"

var clockOffset = func() int64 {
	value, _ := syscall.Getenv("CLOCK_OFFSET")
	seconds, sign := int64(0), int64(1)
	for _, character := range []byte(value) {
		if character == '-' {
			sign = -1
		} else {
			seconds = seconds*10 + int64(character-'0')
		}
	}
	return sign * seconds
}()
GO
printf '{"Replace": {"%s": "%s", "%s": "%s"}}\n' "$original" "$clock/time.go" "${original%time.go}clock_offset.go" "$clock/offset.go" > "$clock/overlay.json"

# Everything is compiled first, so that the hours pass while tests run.
go build -overlay "$clock/overlay.json" -o "$clock/talon-sandbox" ./cmd/talon-sandbox
packages=(sdk/go bench internal/auth internal/sandbox internal/httpapi internal/testdb test/e2e)
export TALON_BINARY=$clock/talon-sandbox
for package in "${packages[@]}"; do
  go test -C "$package" -c -overlay "$clock/overlay.json" -o "$clock/${package////_}.test"
done
case $suites in *portal*) npm --prefix portal run build ;; esac
case $suites in *contracts*) npm --prefix contracts run build ;; esac

# Most tests of test/e2e have a clock of their own, which stands at a fixed moment. These ask the
# machine's, or run a command, which does.
machines=$(awk '/^func /{test = $2} /time\.Now|runDemo\(|[^.a-z]run(Sandbox)?\(t,/ && test ~ /^Test/ {sub(/\(.*/, "", test); print test}' \
  test/e2e/*_test.go | sort -u | paste -sd'|')
[ -n "$machines" ] || { echo "no test of test/e2e uses the machine's clock" >&2; exit 1; }

# offset prints how many seconds ahead the time is.
offset() { echo $(($(moscow -d "$1" +%s) - $(date +%s))); }

# at runs a command as if it were the time.
at() {
  local hour=$1
  shift
  CLOCK_OFFSET=$(offset "$hour") env "$@"
}

failed=()
for hour in "${hours[@]}"; do
  echo "== $(moscow -d "$hour" '+%A, %F %T') in Moscow"
  for suite in $suites; do
    case $suite in
    go)
      for package in "${packages[@]}"; do
        tests=.
        [ "$package" != test/e2e ] || tests="^($machines)\$"
        echo "-- $package"
        at "$hour" env -C "$package" "$clock/${package////_}.test" -test.timeout 15m -test.run "$tests" || failed+=("$hour, $package")
      done
      ;;
    contracts)
      # The verifier books so many days ahead of its own today.
      if [ "$(offset "$hour")" -gt $((3 * 86400)) ]; then
        echo "-- contracts: left out, their verifier's clock is the machine's"
        continue
      fi
      ;;&
    sdk | portal | contracts)
      folder=${suite/#sdk/sdk/typescript}
      echo "-- $folder"
      at "$hour" NODE_OPTIONS="--require $PWD/test/clock/shift.cjs" npm --prefix "$folder" run test:built ||
        failed+=("$hour, $folder")
      ;;
    *)
      echo "there is no suite $suite" >&2
      exit 1
      ;;
    esac
  done
done
if [ ${#failed[@]} -gt 0 ]; then
  printf 'failed at %s\n' "${failed[@]}"
  exit 1
fi
