// Package static serves files that do not change while the process runs. They are compressed once,
// not for each request.
package static

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzhttp"
)

// Methods are the methods of a route that serves a File.
var Methods = []string{http.MethodGet, http.MethodHead}

// mediaTypes are the media types of the files, by extension. Package mime would also read those of
// the machine.
var mediaTypes = map[string]string{
	".css":   "text/css; charset=utf-8",
	".html":  "text/html; charset=utf-8",
	".js":    "text/javascript; charset=utf-8",
	".json":  "application/json",
	".png":   "image/png",
	".svg":   "image/svg+xml",
	".txt":   "text/plain; charset=utf-8",
	".woff2": "font/woff2",
}

// File is a file in memory. It is an http.Handler for Methods, with an entity tag and ranges, and
// safe for concurrent use. The chain of package server must run before it: that adds
// Vary: Accept-Encoding to the response.
type File struct {
	mediaType string
	tag       string
	plain     func() []byte
	gzipped   []byte // nil if compression gains nothing
}

// New returns a file with the content, which must not change afterwards.
func New(mediaType string, content []byte) *File {
	file := &File{mediaType: mediaType, tag: tag(content), plain: func() []byte { return content }}
	if len(content) < gzhttp.DefaultMinSize {
		return file // it fits into one packet anyway
	}
	if compressed := compress(content); len(compressed) < len(content) {
		file.gzipped = compressed
	}
	return file
}

// MustLoad returns the files of a tree by their paths. A file NAME.gz becomes the compressed form
// of NAME, and need not be there uncompressed. MustLoad panics if it cannot read the tree, or does
// not know the media type of a file: the tree is a part of the program.
func MustLoad(tree fs.FS) map[string]*File {
	files := map[string]*File{}
	err := fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		name, compressed := strings.CutSuffix(name, ".gz")
		mediaType := mediaTypes[path.Ext(name)]
		switch {
		case mediaType == "":
			return fmt.Errorf("%s: unknown media type", name)
		case compressed:
			files[name] = &File{
				mediaType: mediaType, tag: tag(content), gzipped: content,
				plain: sync.OnceValue(func() []byte { return decompress(content) }),
			}
		default:
			files[name] = New(mediaType, content)
		}
		return nil
	})
	if err != nil {
		panic(err)
	}
	return files
}

// ServeHTTP implements http.Handler. Each form of the file has its own entity tag, because a strong
// one identifies the exact bytes. A cache has to ask whether it is current, unless Cache-Control is
// set already.
func (f *File) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	if header.Get("Cache-Control") == "" {
		header.Set("Cache-Control", "no-cache")
	}
	var content []byte
	if f.gzipped != nil && acceptsGzip(r.Header) {
		content = f.gzipped
		header.Set("Content-Encoding", "gzip")
		header.Set("ETag", `"`+f.tag+`-gzip"`)
	} else {
		content = f.plain()
		header.Set("ETag", `"`+f.tag+`"`)
	}
	header.Set(gzhttp.HeaderNoCompression, "true") // the chain must not compress it again
	header.Set("Content-Type", f.mediaType)
	header.Set("Content-Length", strconv.Itoa(len(content))) // ServeContent does not set it for encoded content
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

// acceptsGzip reports whether Accept-Encoding names gzip with a weight above 0.
func acceptsGzip(header http.Header) bool {
	for element := range strings.SplitSeq(strings.Join(header.Values("Accept-Encoding"), ","), ",") {
		coding, parameters, err := mime.ParseMediaType(element)
		if err != nil || coding != "gzip" {
			continue
		}
		weight, given := parameters["q"]
		value, err := strconv.ParseFloat(weight, 64)
		return !given || err == nil && value > 0
	}
	return false
}

// tag returns the opaque part of the entity tag of the content.
func tag(content []byte) string {
	sum := sha256.Sum256(content)
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

func compress(content []byte) []byte {
	var compressed bytes.Buffer
	writer, err := gzip.NewWriterLevel(&compressed, gzip.BestCompression)
	if err == nil {
		_, err = writer.Write(content)
	}
	if err == nil {
		err = writer.Close()
	}
	if err != nil {
		panic(err) // the level is valid, and a buffer accepts everything
	}
	return compressed.Bytes()
}

// decompress panics if the content is not valid: it is a part of the program.
func decompress(content []byte) []byte {
	reader, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		panic(err)
	}
	plain, err := io.ReadAll(reader)
	if err != nil {
		panic(err)
	}
	return plain
}
