package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Promise: talonsql of docs/operate.md gives psql the address of the service without the parameters
// that psql rejects, whichever there are and wherever they stand.
func TestTalonsql(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/operate.md")
	require.NoError(t, err)
	function := regexp.MustCompile(`(?ms)^talonsql\(\) \{.*?^\}$`).FindString(string(page))
	require.NotEmpty(t, function)
	settings := filepath.Join(t.TempDir(), "talon.env")
	script := "psql() { printf '%s' \"$1\"; }\n" + strings.ReplaceAll(function, "/etc/talon/talon.env", settings) +
		"\ntalonsql"
	const (
		uri   = "postgres://talon:pa%26ss@10.0.0.1,10.0.0.2:5432/talon"
		words = "host=/var/run/postgresql user=talon dbname=talon"
		known = "sslmode=disable&target_session_attrs=read-write&connect_timeout=1"
	)
	check := func(address, expected string) {
		t.Helper()
		line := "TALON_MIGRATE=false\nDATABASE_URL=" + address + "\nTALON_ADDR=:8080\n"
		require.NoError(t, os.WriteFile(settings, []byte(line), 0o600))
		out, err := exec.CommandContext(t.Context(), "bash", "-c", script).CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Equal(t, expected, strings.TrimRight(string(out), " "), address)
	}
	for _, unknown := range []string{
		"plan_cache_mode=auto", "lock_timeout=1s", "synchronous_commit=on", "random_page_cost=1.1", "TimeZone=UTC",
		"citus.propagate_set_commands=local", "default_query_exec_mode=cache_describe", "statement_cache_capacity=0",
		"description_cache_capacity=0", "pool_max_conn_lifetime=1h",
	} {
		check(uri+"?"+unknown, uri)
		check(uri+"?"+unknown+"&lock_timeout=1s&"+known, uri+"?"+known)
		check(`"`+uri+"?"+known+"&"+unknown+`"`, uri+"?"+known)
		check("'"+uri+"?sslmode=disable&lock_timeout=1s&"+unknown+"&connect_timeout=1'",
			uri+"?sslmode=disable&connect_timeout=1")
		check(words+" "+unknown, words)
		check(unknown+" "+words, words)
	}
	for _, kept := range []string{
		uri, uri + "?" + known, words, words + " options='-c geqo=off'", uri + "?options=-c%20geqo%3Doff",
		uri + "?sslmode=verify-full&sslrootcert=/etc/talon/ca.pem&application_name=night",
	} {
		check(kept, kept)
	}
	// What the service accepts, and psql under another name only.
	check("host=10.0.0.1 database=talon lock_timeout=1s", "host=10.0.0.1 dbname=talon")
	check("postgres://10.0.0.1?lock_timeout=1s&database=talon", "postgres://10.0.0.1?dbname=talon")
}
