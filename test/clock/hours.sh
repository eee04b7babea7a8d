#!/bin/bash
# Runs the tests that use the machine's clock at simulated times. The result of a test must not
# depend on the time of day.
#
#   test/clock/hours.sh [TIME…]   each TIME is a time in Moscow in a format of date(1), for example
#                                 23:58 or 2027-02-28T11:32
#
# SUITES selects the suites to run, by default all: "go sdk portal contracts".
#
# CLOCK_OFFSET is the number of seconds by which the clocks of Go and Node processes, of date(1) and
# of pages in the browser are ahead. Go reads it in a copy of time.Now that replaces the original by
# -overlay, also in the programs that tests build.
# Two clocks are not moved: that of PostgreSQL, because the service passes every time to it, and the
# one of the pacts' verifier, which is not written in Go or JavaScript.
set -euo pipefail
cd "$(dirname "$0")/../.."
moscow() { TZ=Europe/Moscow date "$@"; }
suites=${SUITES:-go sdk portal contracts}
hours=("$@")
# A day in Moscow begins three hours before the day in UTC. A suite takes between three seconds and
# a minute, so with each of the times before midnight, midnight falls into another test.
[ ${#hours[@]} -gt 0 ] || hours=(00:02 02:59:50 07:59 11:32 17:44 "next sunday 11:44"
  23:59:30 23:59:50 23:59:57 "$(moscow +%Y)-12-31T23:59:45")

clock=$PWD/bin/_clock # the go command ignores directories whose names begin with _
mkdir -p "$clock"
original=$(go env GOROOT)/src/time/time.go
sed 's/^\tsec, nsec, mono := runtimeNow()$/&\n\tif !runtimeIsBubbled() {\n\t\tsec += clockOffset\n\t}/' "$original" > "$clock/time.go"
grep -q clockOffset "$clock/time.go" || { echo "cannot patch time.Now of $(go version)" >&2; exit 1; }
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
printf '{"Replace": {"%s": "%s", "%s": "%s"}}\n' "$original" "$clock/time.go" \
  "${original%time.go}clock_offset.go" "$clock/offset.go" > "$clock/overlay.json"

# Everything is compiled first, so that the simulated time passes only while tests run.
go build -overlay "$clock/overlay.json" -o "$clock/" ./cmd/...
packages=(sdk/go bench internal/auth internal/sandbox internal/httpapi internal/testdb test/e2e)
export TALON_BINARY=$clock/talon-sandbox
for package in "${packages[@]}"; do
  go test -C "$package" -c -overlay "$clock/overlay.json" -o "$clock/${package////_}.test"
done
case $suites in *portal*) npm --prefix portal run build ;; esac
case $suites in *contracts*) npm --prefix contracts run build ;; esac

# Most tests of test/e2e use a fixed clock. This selects the tests that use the machine's clock
# themselves, or run a command that uses it.
machines=$(awk '/^func /{test = $2} /time\.Now|runDemo\(|[^.a-z]run(Sandbox)?\(t,/ && test ~ /^Test/ {sub(/\(.*/, "", test); print test}' \
  test/e2e/*_test.go | sort -u | paste -sd'|')
[ -n "$machines" ] || { echo "no test of test/e2e uses the machine's clock" >&2; exit 1; }

# The date command of docs/integrate.md. Without -d it prints the moved time.
mkdir -p "$clock/path"
cat > "$clock/path/date" <<BASH
#!/bin/bash
arguments=() moved=
for argument; do
  [ "\$last" != -d ] || { argument+=" \$CLOCK_OFFSET seconds" moved=1; }
  arguments+=("\$argument") last=\$argument
done
[ "\$moved" ] || arguments+=(-d "\$CLOCK_OFFSET seconds")
exec $(command -v date) "\${arguments[@]}"
BASH
chmod +x "$clock/path/date"

# offset prints the number of seconds from now to a time.
offset() { echo $(($(moscow -d "$1" +%s) - $(date +%s))); }

# at runs a command with the clock moved to a time.
at() {
  local hour=$1
  shift
  CLOCK_OFFSET=$(offset "$hour") GOFLAGS="-overlay=$clock/overlay.json" env PATH="$clock/path:$PATH" "$@"
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
        at "$hour" env -C "$package" "$clock/${package////_}.test" -test.timeout 15m -test.run "$tests" ||
          failed+=("$hour, $package")
      done
      ;;
    contracts)
      # The verifier books a few days ahead by its own clock, which is not moved. A time more than
      # three days ahead would be after these visits.
      if [ "$(offset "$hour")" -gt $((3 * 86400)) ]; then
        echo "-- contracts: skipped, because the clock of the verifier cannot be moved"
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
      echo "unknown suite $suite" >&2
      exit 1
      ;;
    esac
  done
done
if [ ${#failed[@]} -gt 0 ]; then
  printf 'failed at %s\n' "${failed[@]}"
  exit 1
fi
