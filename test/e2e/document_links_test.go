package e2e_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// linkPattern matches a link to a file of the repository, with an optional line number.
var linkPattern = regexp.MustCompile(`\[([^\]]+)\]\(([^)#:]+)(?:#L([0-9]+))?(?:#[^)]*)?\)`)

// codeBlockPattern matches a block of code, which may contain text that looks like a link.
var codeBlockPattern = regexp.MustCompile("(?s)```.*?```")

// Promise: each link of the documents refers to an existing file. A link to a line of code refers
// to a line that contains the link's text.
func TestDocumentLinks(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	documents, err := filepath.Glob(filepath.Join(root, "*.md"))
	require.NoError(t, err)
	require.NoError(t, filepath.WalkDir(filepath.Join(root, "docs"), func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".md") {
			documents = append(documents, path)
		}
		return err
	}))
	lines := 0
	for _, document := range documents {
		text, err := os.ReadFile(document)
		require.NoError(t, err)
		prose := codeBlockPattern.ReplaceAllString(string(text), "")
		for _, found := range linkPattern.FindAllStringSubmatch(prose, -1) {
			name, target := strings.Trim(found[1], "`"), filepath.Join(filepath.Dir(document), found[2])
			if found[3] == "" {
				_, err := os.Stat(target)
				require.NoError(t, err, "%s: %s", document, found[0])
				continue
			}
			code, err := os.ReadFile(target)
			require.NoError(t, err, "%s: %s", document, found[0])
			n, err := strconv.Atoi(found[3])
			require.NoError(t, err)
			all := strings.Split(string(code), "\n")
			require.LessOrEqual(t, n, len(all), "%s: %s", document, found[0])
			require.Contains(t, all[n-1], name, "%s: %s", document, found[0])
			lines++
		}
	}
	require.GreaterOrEqual(t, lines, 10)
}
