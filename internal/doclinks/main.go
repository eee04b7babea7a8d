// Command doclinks updates the line numbers of links into the code, such as
// [`Check`](internal/booking/rules.go#L78), in all documents. Each link then refers to the line
// that declares the name in its text. Run the command in the root of the repository. It fails if a
// file does not declare a name.
package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// link matches a link to a line: its text, file and line number.
var link = regexp.MustCompile("\\[`([^`\\]]+)`\\]\\(([^)#]+)#L(\\d+)\\)")

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "doclinks:", err)
		os.Exit(1)
	}
}

func run() error {
	documents, err := filepath.Glob("*.md")
	if err != nil {
		return err
	}
	err = filepath.WalkDir("docs", func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".md") {
			documents = append(documents, path)
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, document := range documents {
		if err := update(document); err != nil {
			return fmt.Errorf("%s: %w", document, err)
		}
	}
	return nil
}

// update writes the current line numbers into the links of one document.
func update(document string) error {
	text, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	var failed error
	updated := link.ReplaceAllStringFunc(string(text), func(found string) string {
		parts := link.FindStringSubmatch(found)
		line, err := declaration(filepath.Join(filepath.Dir(document), parts[2]), parts[1])
		if err != nil {
			failed = err
			return found
		}
		return fmt.Sprintf("[`%s`](%s#L%d)", parts[1], parts[2], line)
	})
	if failed != nil || updated == string(text) {
		return failed
	}
	return os.WriteFile(document, []byte(updated), 0o644) //nolint:gosec // a page
}

// declaration returns the number of the line in a Go, SQL or YAML file that declares the name.
func declaration(file, name string) (int, error) {
	code, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	quoted := regexp.QuoteMeta(name)
	declares := regexp.MustCompile(`(?m)^((func (\([^)]*\) )?|type |var |const |-- name: )` + quoted + `\b` +
		`| +operationId: ` + quoted + `$| +` + quoted + `:)`)
	at := declares.FindIndex(code)
	if at == nil {
		return 0, fmt.Errorf("%s does not declare %s", file, name)
	}
	return strings.Count(string(code[:at[0]]), "\n") + 1, nil
}
