package e2e_test

import (
	"fmt"
	"os"
	"regexp"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"talon.example/internal/app"
	"talon.example/migrations"
	"talon.example/test/harness"
)

// Promise: both programs print the version of the contract, the commit, Go's version and the newest
// schema that they know, without any setting.
func TestVersionIsPrinted(t *testing.T) {
	t.Parallel()
	contract, err := os.ReadFile("../../openapi.yaml")
	require.NoError(t, err)
	version := regexp.MustCompile(`\n  version: (\S+)\n`).FindSubmatch(contract)[1]
	schema, err := migrations.Latest()
	require.NoError(t, err)
	pattern := fmt.Sprintf(`^talon(-sandbox)? %s\ncommit .+\n%s .+\nschema %d\n$`,
		regexp.QuoteMeta(string(version)), regexp.QuoteMeta(runtime.Version()), schema)

	for _, name := range []string{"version", "--version"} {
		code, stdout, stderr := run(t, nil, name)
		require.Zero(t, code, stderr)
		require.Regexp(t, pattern, stdout)
		code, stdout, stderr = runSandbox(t, nil, name)
		require.Zero(t, code, stderr)
		require.Regexp(t, pattern, stdout)
	}
	code, _, _ := run(t, nil, "version", "more")
	require.Equal(t, 2, code)
}

// Promise: the log line of the start names the build, so that a log shows which release served.
func TestBuildIsLogged(t *testing.T) {
	t.Parallel()
	build, err := app.ReadBuild()
	require.NoError(t, err)
	s := harness.Start(t)
	s.Stop()
	require.Regexp(t, fmt.Sprintf(`"msg":"serving".*"build":{"version":"%s",.*"schema":%d}`,
		regexp.QuoteMeta(build.Version), build.Schema), s.Logs.String())
}
