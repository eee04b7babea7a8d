//go:build packaged

// Package packaged_test installs what make package has built. It needs root and dpkg, and must not
// run where Talon is installed.
package packaged_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"talon.example/internal/auth"
	"talon.example/internal/sandbox"
	"talon.example/internal/testdb"
	"talon.example/migrations"
)

const (
	dist     = "../../dist"
	unit     = "/usr/lib/systemd/system/talon.service"
	settings = "/etc/talon/talon.env"
	keyFile  = "/etc/talon/auth-key.pem"
	address  = "127.0.0.1:18480"
)

func TestMain(m *testing.M) { testdb.Main(m) }

// Promise: a service installed from the deb starts with the commands, the account and the settings
// of its unit, and books. A removed package keeps its settings, a purged one does not.
//
// Systemd does not run in a container. The test runs the unit's commands itself, and only
// systemd-analyze judges the sandbox around them.
func TestInstalledServiceBooks(t *testing.T) {
	require.Zero(t, os.Geteuid(), "needs root")
	require.NoFileExists(t, unit, "Talon is installed already")
	t.Cleanup(func() {
		_ = exec.CommandContext(context.WithoutCancel(t.Context()), "dpkg", "--purge", "talon").Run()
		_ = os.RemoveAll("/etc/talon")
	})
	command(t, "dpkg", "--install", artefact(t, "talon_*_amd64.deb"))
	require.Contains(t, command(t, "dpkg", "--listfiles", "talon"), "/usr/share/doc/talon/docs/operate.md")
	require.Empty(t, command(t, "systemd-analyze", "verify", unit))
	t.Log(lastLine(command(t, "systemd-analyze", "security", "--offline=true", "--threshold=15", unit)))

	cluster := testdb.Cluster(t)
	database := cluster.URL("postgres")
	require.NoError(t, migrations.Up(t.Context(), database))
	_, err := sandbox.Ensure(t.Context(), database, time.Now())
	require.NoError(t, err)
	key, err := auth.EnsureSigningKey(keyFile)
	require.NoError(t, err)
	account, err := user.Lookup("talon")
	require.NoError(t, err)
	group, err := strconv.Atoi(account.Gid)
	require.NoError(t, err)
	require.NoError(t, os.Chown(keyFile, 0, group))
	require.NoError(t, os.Chmod(keyFile, 0o640))
	environ := []string{
		"DATABASE_URL=" + overTCP(t, database), "TALON_ADDR=" + address, "TALON_SHUTDOWN_DELAY=0s",
		"TALON_TOKEN_ISSUER=issuer", "TALON_TOKEN_AUDIENCE=talon", "TALON_AUTH_KEY_FILE=" + keyFile,
	}
	require.NoError(t, os.WriteFile(settings, []byte(strings.Join(environ, "\n")+"\n"), 0o600))

	require.Contains(t, run(t, account, environ, "ExecStartPre"), "DATABASE_URL=(hidden)")
	service := asAccount(t, account, environ, "ExecStart")
	service.Stderr = t.Output()
	require.NoError(t, service.Start())
	stopped := make(chan error, 1)
	go func() { stopped <- service.Wait() }()
	require.Eventually(t, func() bool {
		status, _ := send(t, http.MethodGet, "/health/ready", "", "")
		return status == http.StatusOK
	}, 30*time.Second, 50*time.Millisecond)
	token, err := sandbox.Signer(key, "issuer", "talon")(
		auth.Caller{Person: sandbox.Patient, Client: sandbox.Client}, time.Now())
	require.NoError(t, err)
	status, body := send(t, http.MethodPost, "/appointments", token, sandbox.FirstExample)
	require.Equal(t, http.StatusOK, status, body)
	require.NoError(t, service.Process.Signal(syscall.SIGTERM))
	require.NoError(t, <-stopped)

	command(t, "dpkg", "--remove", "talon")
	require.NoFileExists(t, "/usr/bin/talon")
	require.FileExists(t, settings)
	command(t, "dpkg", "--purge", "talon")
	require.NoFileExists(t, settings)
	require.FileExists(t, keyFile, "the operator's own files stay")
}

// Promise: the image is the binary alone, runs as an account without rights, and its binary runs
// without any other file.
func TestImage(t *testing.T) {
	t.Parallel()
	layout, root := t.TempDir(), t.TempDir()
	require.NoError(t, os.Chmod(filepath.Dir(root), 0o755)) // so that another account can enter it
	require.NoError(t, os.Chmod(root, 0o755))
	command(t, "tar", "--extract", "--file", artefact(t, "talon_*_image.tar"), "--directory", layout)
	type descriptor struct {
		Digest string `json:"digest"`
	}
	read := func(d descriptor, into any) {
		content, err := os.ReadFile(filepath.Join(layout, "blobs", strings.ReplaceAll(d.Digest, ":", "/")))
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(content, into))
	}
	var index struct {
		Manifests []descriptor `json:"manifests"`
	}
	content, err := os.ReadFile(filepath.Join(layout, "index.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(content, &index))
	require.Len(t, index.Manifests, 1)
	var manifest struct {
		Config descriptor
		Layers []descriptor
	}
	read(index.Manifests[0], &manifest)
	var image struct {
		Config struct {
			User       string
			Entrypoint []string
		} `json:"config"`
	}
	read(manifest.Config, &image)
	require.Equal(t, "65532:65532", image.Config.User)
	require.Equal(t, []string{"/usr/bin/talon"}, image.Config.Entrypoint)

	for _, layer := range manifest.Layers {
		blob := filepath.Join(layout, "blobs", strings.ReplaceAll(layer.Digest, ":", "/"))
		command(t, "tar", "--extract", "--file", blob, "--directory", root)
	}
	require.Equal(t, filepath.Join(root, "usr/bin/talon"), command(t, "find", root, "-type", "f"))
	version := command(t, "chroot", "--userspec=65532:65532", root, "/usr/bin/talon", "version")
	require.Regexp(t, `^talon \S+\ncommit [0-9a-f]{40} of \S+\n`, version)
}

// Promise: the SBOM names every module of the binary with its version and licence.
func TestSBOM(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile(artefact(t, "talon_*.cdx.json"))
	require.NoError(t, err)
	var sbom struct {
		Components []struct {
			Name     string     `json:"name"`
			Version  string     `json:"version"`
			Licenses []struct{} `json:"licenses"`
		} `json:"components"`
	}
	require.NoError(t, json.Unmarshal(content, &sbom))
	versions := map[string]string{}
	for _, component := range sbom.Components {
		versions[component.Name] = component.Version
		// The detection does not know the form of these files: MIT and BSD-3-Clause, and our own.
		switch component.Name {
		case "github.com/pressly/goose/v3", "std", "talon.example/sdk/go/v2":
		default:
			require.NotEmpty(t, component.Licenses, "%s has no licence", component.Name)
		}
	}
	modules := command(t, "go", "version", "-m", artefact(t, "talon_*_linux_amd64"))
	for _, module := range regexp.MustCompile(`(?m)^\tdep\t(\S+)\t(\S+)\t`).FindAllStringSubmatch(modules, -1) {
		require.Equal(t, module[2], versions[module[1]], module[1])
	}
	require.Contains(t, modules, "CGO_ENABLED=0")
	require.Contains(t, modules, "vcs.modified=false")
}

// artefact returns the file of dist that matches the pattern.
func artefact(t *testing.T, pattern string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dist, pattern))
	require.NoError(t, err)
	require.Len(t, files, 1, "%s: run make package", pattern)
	return files[0]
}

// command runs a program of the machine and returns its output, trimmed.
func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	require.NoError(t, err, string(output))
	return strings.TrimSpace(string(output))
}

func lastLine(text string) string { return text[strings.LastIndex(text, "\n")+1:] }

// asAccount returns the command of the installed unit with the name, for an account.
func asAccount(t *testing.T, account *user.User, environ []string, name string) *exec.Cmd {
	t.Helper()
	text, err := os.ReadFile(unit)
	require.NoError(t, err)
	line := regexp.MustCompile(`(?m)^` + name + `=(.+)$`).FindStringSubmatch(string(text))
	require.NotNil(t, line)
	words := strings.Fields(line[1])
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	require.NoError(t, err)
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), words[0], words[1:]...)
	cmd.Dir, cmd.Env = "/", environ
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	return cmd
}

// run runs the command of the unit until it ends, and returns its output.
func run(t *testing.T, account *user.User, environ []string, name string) string {
	t.Helper()
	output, err := asAccount(t, account, environ, name).CombinedOutput()
	require.NoError(t, err, string(output))
	return string(output)
}

// send sends a request to the service, and returns the status, 0 if there is no response.
func send(t *testing.T, method, path, token, body string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+address+path, strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+token)
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(text)
}

// overTCP returns the URL of the database by TCP. The socket of the private server is closed to
// other accounts.
func overTCP(t *testing.T, database string) string {
	t.Helper()
	parsed, err := url.Parse(database)
	require.NoError(t, err)
	socket := filepath.Join(parsed.Query().Get("host"), ".s.PGSQL."+parsed.Query().Get("port"))
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := new(net.Dialer).DialContext(t.Context(), "unix", socket)
			if err != nil {
				_ = client.Close()
				continue
			}
			go pipe(client, server)
			go pipe(server, client)
		}
	}()
	return "postgres://" + parsed.User.Username() + "@" + listener.Addr().String() + parsed.Path + "?sslmode=disable"
}

// pipe copies until one side closes, and then closes both.
func pipe(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	_ = to.Close()
	_ = from.Close()
}
