#!/bin/bash
# Runs the suites of those who build on Talon as if it were other hours: tests must not depend on when they run.
#
#   test/clock/hours.sh [TIME…]   each a time in Moscow that date(1) reads, such as 23:58 or 2027-02-28T11:32
#
# CLOCK_OFFSET is the number of seconds that Go and Node processes are ahead. Go reads it in a copy of
# time.Now, which -overlay puts in place of Go's own. PostgreSQL keeps the machine's clock: the service
# passes it every time it needs.
set -euo pipefail
cd "$(dirname "$0")/../.."
hours=("$@")
[ ${#hours[@]} -gt 0 ] || hours=(00:02 07:59 11:32 17:44 "next sunday 11:44" 23:59:30 "$(date +%Y)-12-31T23:59:30")

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
go build -overlay "$clock/overlay.json" -o "$clock/talon" ./cmd/talon

suites=(./sdk/go ./internal/demo ./internal/httpapi)
go test -overlay "$clock/overlay.json" -run '^$' "${suites[@]}" >/dev/null # so that the hours pass while tests run, not while they are compiled

# offset prints how many seconds ahead the time in Moscow is.
offset() { echo $(($(TZ=Europe/Moscow date -d "$1" +%s) - $(date +%s))); }

failed=()
for hour in "${hours[@]}"; do
  echo "== $(TZ=Europe/Moscow date -d "$hour" '+%A, %F %T') in Moscow"
  CLOCK_OFFSET=$(offset "$hour") go test -overlay "$clock/overlay.json" -count 1 -timeout 15m "${suites[@]}" || failed+=("$hour, Go")
  CLOCK_OFFSET=$(offset "$hour") NODE_OPTIONS="--require $PWD/test/clock/shift.cjs" TALON_BINARY=$clock/talon \
    npm --prefix sdk/typescript test || failed+=("$hour, SDK")
done
if [ ${#failed[@]} -gt 0 ]; then
  printf 'failed at %s\n' "${failed[@]}"
  exit 1
fi
