package sandbox

import (
	"bytes"
	"io/fs"
	"net/http"
	"strings"
	"sync"

	"github.com/gin-gonic/gin"

	"talon.example/internal/httpapi/server"
	"talon.example/portal"
)

// portalPolicy is the portal's Content-Security-Policy. It allows the portal to load its own files
// and to call this service. It forbids inline scripts, other origins and framing.
const portalPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// registerPortal adds the routes of the portal.
func registerPortal(chain *server.Server) {
	files := portal.Files()
	pages := chain.Pages()
	pages.GET("/portal", func(c *gin.Context) { c.Redirect(http.StatusFound, "/portal/") })
	pages.GET("/portal/*file", func(c *gin.Context) {
		name := strings.TrimPrefix(c.Param("file"), "/")
		if name == "" {
			name = "index.html"
		}
		content, err := fs.ReadFile(files, name)
		if err != nil {
			renderUnknownPath(c, chain)
			return
		}
		c.Header("Cache-Control", "no-cache")
		if strings.HasPrefix(name, "assets/") { // the name contains a hash of the content
			c.Header("Cache-Control", "public, max-age=31536000, immutable")
		}
		c.Header("Content-Security-Policy", portalPolicy)
		c.Header("Referrer-Policy", "no-referrer")
		c.Data(http.StatusOK, portalType(name), content)
	})
}

// renderUnknownPath writes the refusal of an unknown path. A browser that opens it as a page gets the
// portal, which then shows that the page does not exist.
func renderUnknownPath(c *gin.Context, chain *server.Server) {
	c.Header("Vary", "Accept")
	if c.NegotiateFormat(gin.MIMEJSON, gin.MIMEHTML) != gin.MIMEHTML {
		chain.RenderError(c, server.Reject(server.RouteNotFound))
		return
	}
	c.Header("Cache-Control", "no-cache")
	c.Header("Content-Security-Policy", portalPolicy)
	c.Header("Referrer-Policy", "no-referrer")
	c.Data(http.StatusNotFound, portalType("index.html"), unknownPathPage())
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

// portalType returns the media type of a file of the portal, by its extension.
func portalType(name string) string {
	switch name[strings.LastIndex(name, ".")+1:] {
	case "html":
		return "text/html; charset=utf-8"
	case "css":
		return "text/css; charset=utf-8"
	case "js":
		return "text/javascript; charset=utf-8"
	case "svg":
		return "image/svg+xml"
	}
	return "application/octet-stream"
}
