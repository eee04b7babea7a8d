package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"talon.example/internal/testdb"
)

// shellBlock matches a block of shell, and the block of JSON that shows its last line of output.
var shellBlock = regexp.MustCompile("(?s)```\n(.*?)```\n(?:\n```json\n(.*?)```)?")

// Promise: the commands of docs/integrate.md work in their order after make run, and return what
// the page shows.
func TestIntegrationGuide(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/integrate.md")
	require.NoError(t, err)
	database := "DATABASE_URL=" + testdb.Fresh(t)
	text, stop := runDemo(t, []string{
		database, "TALON_ADDR=127.0.0.1:0",
		"TALON_SANDBOX_KEY_FILE=" + filepath.Join(t.TempDir(), "key.pem"),
		"TALON_DATABASE_MAX_CONNS=2",
	})
	defer stop()
	address := regexp.MustCompile(`http://[^/\s]+`).FindString(text)
	blocks := shellBlock.FindAllStringSubmatch(string(page), -1)
	require.Greater(t, len(blocks), 10)
	var script strings.Builder
	const mark = "@@@ end of a block"
	script.WriteString("curl() { command curl --show-error \"$@\"; echo; }\n")
	for _, block := range blocks {
		script.WriteString(block[1] + "\necho '" + mark + "'\n")
	}
	command := exec.CommandContext(t.Context(), "bash", "-euc",
		strings.ReplaceAll(script.String(), "http://127.0.0.1:8080", address))
	command.Dir = t.TempDir()
	self, err := os.Executable()
	require.NoError(t, err)
	require.NoError(t, os.Mkdir(filepath.Join(command.Dir, "bin"), 0o700))
	require.NoError(t, os.Symlink(self, filepath.Join(command.Dir, "bin", "talon")))
	command.Env = append(os.Environ(), database, testProgram+"=talon")
	output, err := command.CombinedOutput()
	require.NoError(t, err, "%s", output)
	results := strings.Split(string(output), mark+"\n")
	require.Len(t, results, len(blocks)+1)
	for i, block := range blocks {
		lines := strings.Split(strings.TrimSpace(results[i]), "\n")
		for _, line := range lines {
			var failure struct {
				Code int `json:"code"`
			}
			if json.Unmarshal([]byte(line), &failure) == nil && !strings.Contains(block[2], `"code"`) {
				require.Less(t, failure.Code, http.StatusBadRequest, "%s\n%s", block[1], line)
			}
		}
		if block[2] != "" {
			var shown, got any
			require.NoError(t, json.Unmarshal([]byte(block[2]), &shown), block[2])
			require.NoError(t, json.Unmarshal([]byte(lines[len(lines)-1]), &got), "%s\n%s", block[1], results[i])
			requireShown(t, block[1], shown, got)
		}
	}
}

// requireShown requires that got has the values that are shown. It may have other fields.
func requireShown(t *testing.T, where string, shown, got any) {
	t.Helper()
	switch shown := shown.(type) {
	case map[string]any:
		object, ok := got.(map[string]any)
		require.True(t, ok, "%s: %v", where, got)
		for key, value := range shown {
			requireShown(t, where+" "+key, value, object[key])
		}
	case []any:
		list, ok := got.([]any)
		require.True(t, ok, "%s: %v", where, got)
		require.Len(t, list, len(shown), where)
		for i, value := range shown {
			requireShown(t, fmt.Sprint(where, " ", i), value, list[i])
		}
	default:
		require.Equal(t, shown, got, where)
	}
}
