package e2e_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"talon.example/gen/api"
	"talon.example/internal/testdb"
)

// tourBlockPattern matches the tour's blocks of shell that begin with curl, and its blocks of
// JSON.
var tourBlockPattern = regexp.MustCompile("(?s)```(json)?\n((?:curl |\\{).*?)```")

// Promise: the commands of docs/tour.md work in their order after make run, and their output
// is what the README shows.
func TestReadmeTour(t *testing.T) {
	t.Parallel()
	tour, err := os.ReadFile("../../docs/tour.md")
	require.NoError(t, err)
	text, stop := runDemo(t, []string{
		"DATABASE_URL=" + testdb.Fresh(t), "TALON_ADDR=127.0.0.1:0",
		"TALON_SANDBOX_KEY_FILE=" + filepath.Join(t.TempDir(), "key.pem"),
		"TALON_DATABASE_MAX_CONNS=2",
	})
	defer stop()
	address := regexp.MustCompile(`http://[^/\s]+`).FindString(text)
	token := regexp.MustCompile(`Bearer ([^']+)'`).FindStringSubmatch(text)[1]
	var appointment string
	paste := func(lines string) []byte {
		t.Helper()
		script := "curl() { command curl --fail-with-body --show-error \"$@\"; echo; }\n" + lines
		command := exec.CommandContext(t.Context(), "bash", "-euc", script)
		command.Env = append(os.Environ(), "TOKEN="+token, "APPOINTMENT="+appointment)
		var stderr bytes.Buffer
		command.Stderr = &stderr
		output, err := command.Output()
		require.NoError(t, err, "%s\n%s\n%s", lines, output, stderr.String())
		return output
	}

	booked := paste(regexp.MustCompile(`(?s)curl .*?\}'`).FindString(text))
	var result api.AppointmentResult
	require.NoError(t, json.Unmarshal(booked, &result), "%s", booked)
	blocks := tourBlockPattern.FindAllStringSubmatch(string(tour), -1)
	require.Greater(t, len(blocks), 8)
	appointment = result.ConsultDirection.Appointment.GUID.String()
	var answer []byte
	for i, block := range blocks {
		switch {
		case block[1] == "":
			answer = paste(strings.ReplaceAll(block[2], "http://127.0.0.1:8080", address))
		case i > 0 && blocks[i-1][1] == "":
			lines := bytes.Split(bytes.TrimSpace(answer), []byte("\n")) // of the last request
			require.JSONEq(t, block[2], string(lines[len(lines)-1]))
		}
	}
}
