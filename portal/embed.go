// Package portal embeds the patient portal that make portal builds, so that the sandbox needs no
// Node.
package portal

import (
	"embed"
	"io/fs"
)

//go:embed all:dist
var dist embed.FS

// Files returns the files of the portal: index.html and its assets.
func Files() fs.FS {
	files, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // the name is not a path
	}
	return files
}
