package e2e_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"talon.example/internal/testdb"
)

// Promise: strangers cannot make the service use more than 200 MB, however many connections they
// open and whatever they send over them. Others are served while they send it, and after.
func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	const connections, megabyte = 2000, 1 << 20
	settings := minimalSettings(map[string]string{
		"DATABASE_URL": testdb.Fresh(t), "TALON_ADDR": "127.0.0.1:0", "TALON_SHUTDOWN_DELAY": "0s",
		"TALON_DATABASE_MAX_CONNS": "2",
	})
	environ := os.Environ()
	for name, value := range settings {
		environ = append(environ, name+"="+value)
	}
	program := filepath.Join(t.TempDir(), "talon") // without the race detector, which multiplies the memory
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "talon.example/cmd/talon")
	output, err := build.CombinedOutput()
	require.NoError(t, err, "%s", output)
	process := exec.CommandContext(t.Context(), program, "serve")
	process.Env = environ
	stderr, err := process.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, process.Start())
	lines := bufio.NewScanner(stderr)
	var serving struct {
		Msg  string `json:"msg"`
		Addr string `json:"addr"`
	}
	for serving.Msg != "serving" {
		require.True(t, lines.Scan(), "talon serve has ended")
		require.NoError(t, json.Unmarshal(lines.Bytes(), &serving))
	}
	var drained sync.WaitGroup
	drained.Go(func() {
		for lines.Scan() {
			// The process must not wait for its log to be read.
		}
	})

	live := func() {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
		response, err := client.Get("http://" + serving.Addr + "/health/live")
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, 200, response.StatusCode)
	}
	line := "GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + strings.Repeat("x", 64<<10)
	var short strings.Builder // a short line needs more memory than a long one
	short.WriteString("GET / HTTP/1.1\r\nHost: x\r\n")
	for i := 0; short.Len() < 30<<10; i++ {
		fmt.Fprintf(&short, "%x:\r\n", i)
	}
	for _, text := range []string{
		line[:30<<10], line, short.String(),
		"GET /openapi.json HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n", // and reads nothing
		"POST /appointments HTTP/1.1\r\nHost: x\r\nContent-Length: 65000\r\n\r\n" + strings.Repeat("[", 60_000),
	} {
		var strangers sync.WaitGroup
		for range connections {
			strangers.Go(func() {
				conn, err := net.Dial("tcp", serving.Addr)
				if err != nil {
					t.Error(err)
					return
				}
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
				_, _ = conn.Write([]byte(text))
				_, _ = conn.Read(make([]byte, 1)) // until the service rejects or closes it
			})
		}
		live()
		strangers.Wait()
	}
	live()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", process.Process.Pid))
	require.NoError(t, err)
	peak := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)
	require.NotNil(t, peak)
	kilobytes, err := strconv.Atoi(string(peak[1]))
	require.NoError(t, err)
	t.Logf("at most %d MB", kilobytes<<10/megabyte)
	require.Less(t, kilobytes<<10, 200*megabyte)
	require.NoError(t, process.Process.Signal(os.Interrupt))
	drained.Wait()
	require.NoError(t, process.Wait())
}
