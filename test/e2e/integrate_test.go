package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"talon.example/internal/testdb"
)

// shellBlock matches a block of shell, and the block of JSON that shows its last line of output.
var shellBlock = regexp.MustCompile("(?s)```\n(.*?)```\n(?:\n```json\n(.*?)```)?")

// typescriptSection is the part of the guide that needs Node. It is executed by
// sdk/typescript/test/integrate.test.mjs.
var typescriptSection = regexp.MustCompile(`(?s)## A receiver in TypeScript\n.*?\n(## )`)

// Promise: the commands of docs/integrate.md work in their order after make run, and return what
// the page shows. They leave files only where git ignores them.
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
	require.Regexp(t, typescriptSection, string(page))
	blocks := shellBlock.FindAllStringSubmatch(typescriptSection.ReplaceAllString(string(page), "$1"), -1)
	require.Greater(t, len(blocks), 10)
	var script strings.Builder
	const mark = "@@@ end of a block"
	script.WriteString("trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n") // the receiver
	script.WriteString("curl() { command curl --show-error \"$@\"; echo; }\n")
	for _, block := range blocks {
		script.WriteString(block[1] + "\necho '" + mark + "'\n")
	}
	port := freePort(t)
	limited, cancel := context.WithTimeout(t.Context(), 2*time.Minute) // the page waits in loops
	defer cancel()
	command := exec.CommandContext(limited, "bash", "-euc", strings.NewReplacer(
		"http://127.0.0.1:8080", address, "http://127.0.0.1:8090", "http://127.0.0.1:"+port).Replace(script.String()))
	command.WaitDelay = time.Second
	command.Dir = likeRepository(t)
	before := fileNames(t, command.Dir)
	command.Env = append(os.Environ(), database, testProgram+"=talon", "PORT="+port)
	output, err := command.CombinedOutput()
	require.NoError(t, err, "%s", output)
	require.ElementsMatch(t, append(before, ".cache"), fileNames(t, command.Dir))
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
			text := strings.ReplaceAll(block[2], "http://127.0.0.1:8090", "http://127.0.0.1:"+port)
			require.NoError(t, json.Unmarshal([]byte(text), &shown), text)
			require.NoError(t, json.Unmarshal([]byte(lines[len(lines)-1]), &got), "%s\n%s", block[1], results[i])
			requireShown(t, block[1], shown, got)
		}
	}
}

// likeRepository returns a folder with what the page needs of the repository.
func likeRepository(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	self, err := os.Executable()
	require.NoError(t, err)
	require.NoError(t, os.Mkdir(filepath.Join(folder, "bin"), 0o700))
	for name, target := range map[string]string{
		"bin/talon": self, "sdk": filepath.Join(root, "sdk"),
		"go.mod": filepath.Join(root, "go.mod"), "go.sum": filepath.Join(root, "go.sum"),
	} {
		require.NoError(t, os.Symlink(target, filepath.Join(folder, name)))
	}
	return folder
}

// fileNames returns the names of what is in a folder.
func fileNames(t *testing.T, folder string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// freePort returns a port on which nothing listens.
func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	require.NoError(t, err)
	return port
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
