package sandbox

import (
	"bytes"
	"io/fs"
	"net/http"
	"strings"
	"sync"

	"github.com/gin-gonic/gin"

	"talon.example/internal/httpapi/server"
	"talon.example/internal/httpapi/static"
	"talon.example/portal"
)

// portalPolicy is the portal's Content-Security-Policy. It allows the portal to load its own files
// and to call this service. It forbids inline scripts, other origins and framing.
const portalPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// portalFiles are the files of the portal by their paths, compressed once per process.
var portalFiles = sync.OnceValue(func() map[string]*static.File { return static.MustLoad(portal.Files()) })

// registerPortal adds the routes of the portal.
func registerPortal(chain *server.Server) {
	files, pages := portalFiles(), chain.Pages()
	pages.Match(static.Methods, "/portal", func(c *gin.Context) { c.Redirect(http.StatusFound, "/portal/") })
	pages.Match(static.Methods, "/portal/*file", func(c *gin.Context) {
		name := strings.TrimPrefix(c.Param("file"), "/")
		if name == "" {
			name = "index.html"
		}
		file := files[name]
		if file == nil {
			renderUnknownPath(c, chain)
			return
		}
		if strings.HasPrefix(name, "assets/") { // the name contains a hash of the content
			c.Header("Cache-Control", "public, max-age=31536000, immutable")
		}
		c.Header("Content-Security-Policy", portalPolicy)
		file.ServeHTTP(c.Writer, c.Request)
	})
}

// renderUnknownPath writes the refusal of an unknown path. A browser that opens it as a page gets
// the portal, which then shows that the page does not exist.
func renderUnknownPath(c *gin.Context, chain *server.Server) {
	c.Writer.Header().Add("Vary", "Accept") // after Accept-Encoding
	if c.NegotiateFormat(gin.MIMEJSON, gin.MIMEHTML) != gin.MIMEHTML {
		chain.RenderError(c, server.Reject(server.RouteNotFound))
		return
	}
	c.Header("Cache-Control", "no-cache")
	c.Header("Content-Security-Policy", portalPolicy)
	c.Data(http.StatusNotFound, "text/html; charset=utf-8", unknownPathPage())
}

// unknownPathPage returns the page of the portal with absolute addresses of its files, because the
// unknown path can have any depth.
var unknownPathPage = sync.OnceValue(func() []byte {
	page, err := fs.ReadFile(portal.Files(), "index.html")
	if err != nil {
		panic(err) // it is embedded
	}
	return bytes.ReplaceAll(page, []byte(`"./`), []byte(`"/portal/`))
})
