// Command sqllint checks the project's SQL by its parse tree. Migrations must be safe while the
// previous release runs, and queries must compare the distribution column of every table. The
// argument is the root of the project. The command prints one line per finding. It exits with 1 if
// it has findings and with 2 after an error.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: sqllint ROOT")
		os.Exit(2)
	}
	findings, err := lint(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "sqllint:", err)
		os.Exit(2)
	}
	for _, finding := range findings {
		fmt.Println(finding)
	}
	if len(findings) > 0 {
		os.Exit(1)
	}
}

// lint returns the findings in the migrations and queries of the project at root, in the order of
// the files. It returns an error if a file cannot be read or parsed.
func lint(root string) ([]string, error) {
	keys, err := readKeys(root)
	if err != nil {
		return nil, err
	}
	var findings []string
	for _, kind := range []struct {
		pattern string
		check   func(string) ([]string, error)
	}{
		{"migrations/*.sql", lintMigration},
		{"queries/*.sql", func(file string) ([]string, error) { return lintQueries(keys, file) }},
	} {
		files, err := filepath.Glob(filepath.Join(root, kind.pattern))
		if err != nil {
			return nil, err
		}
		if len(files) == 0 {
			return nil, fmt.Errorf("no file matches %s", kind.pattern)
		}
		slices.Sort(files)
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}
			if strings.HasPrefix(kind.pattern, "migrations") && isBaseline(file) {
				continue
			}
			inFile, err := kind.check(string(text))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
			for _, finding := range inFile {
				findings = append(findings, file+": "+finding)
			}
		}
	}
	return findings, nil
}

// lastOfBaseline is the newest migration of the first release. The migrations up to it are not
// checked, because they never run beside a release.
const lastOfBaseline = "00015"

// isBaseline reports whether the file is a migration of the first release.
func isBaseline(file string) bool {
	return filepath.Base(file)[:len(lastOfBaseline)] <= lastOfBaseline
}
