// Command moduleproxy writes a Go module in the layout of a module proxy
// (https://go.dev/ref/mod#goproxy-protocol): the module of a directory, at a version, below the
// target directory. The files can be served over HTTP, or used from disk:
//
//	GOPROXY=file:///target,$(go env GOPROXY) go get MODULE@VERSION
//
// Usage: moduleproxy DIRECTORY VERSION TARGET
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

func main() {
	err := errors.New("usage: moduleproxy DIRECTORY VERSION TARGET")
	if len(os.Args) == 4 {
		err = write(os.Args[1], os.Args[2], os.Args[3])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "moduleproxy:", err)
		os.Exit(1)
	}
}

// write writes the files of the module. It returns an error if the module's path does not fit the
// major version.
func write(dir, version, target string) error {
	gomod, err := os.ReadFile(filepath.Join(dir, "go.mod")) //nolint:gosec // the directory is an argument
	if err != nil {
		return err
	}
	m := module.Version{Path: modfile.ModulePath(gomod), Version: version}
	var archive bytes.Buffer
	if err := zip.CreateFromDir(&archive, m, dir); err != nil {
		return err
	}
	info, err := json.Marshal(map[string]string{"Version": version})
	if err != nil {
		return err
	}
	escaped, err := module.EscapePath(m.Path)
	if err != nil {
		return err
	}
	folder := filepath.Join(target, filepath.FromSlash(escaped), "@v")
	if err := os.MkdirAll(folder, 0o755); err != nil { //nolint:gosec // to be published
		return err
	}
	for name, content := range map[string][]byte{
		"list":            []byte(version + "\n"),
		version + ".info": info,
		version + ".mod":  gomod,
		version + ".zip":  archive.Bytes(),
	} {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o644); err != nil { //nolint:gosec // as above
			return err
		}
	}
	return nil
}
