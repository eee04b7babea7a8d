// Package portal is the page that books, as make portal has built it: with it in the binary the sandbox needs no Node.
package portal

import (
	"embed"
	"io/fs"
)

//go:embed all:dist
var dist embed.FS

// Files are the page and what it is made of.
func Files() fs.FS {
	files, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // the name is not a path
	}
	return files
}
