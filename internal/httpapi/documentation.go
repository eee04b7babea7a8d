package httpapi

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"slices"

	"github.com/gin-gonic/gin"
	"github.com/swaggest/swgui/v5/static"
	"github.com/vearutop/statigz"

	talon "talon.example"
	"talon.example/internal/httpapi/server"
)

// docs contains the page of Swagger UI, which is in static.FS.
//
//go:embed docs
var docs embed.FS

// swaggerPolicy is the Content-Security-Policy of the documentation. It allows the page's own files
// and calls of this service. It forbids inline scripts and styles, other origins and framing. The
// tests in portal/test require that the browser reports no violation.
const swaggerPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// registerContract adds the contract as JSON and YAML.
func registerContract(s *server.Server) {
	pages := s.Pages()
	pages.GET("/openapi.json", func(c *gin.Context) { c.Data(http.StatusOK, "application/json", s.ContractJSON()) })
	pages.GET("/openapi.yaml", func(c *gin.Context) { c.Data(http.StatusOK, "application/yaml", talon.Contract) })
}

// registerDocs adds Swagger UI from files in the binary. With keepTokens it stores the user's tokens
// in the browser.
func registerDocs(s *server.Server, keepTokens bool) {
	swagger := swaggerPage(keepTokens)
	files := []*statigz.Server{statigz.FileServer(docs, statigz.FSPrefix("docs")), statigz.FileServer(static.FS)}
	pages := s.Pages()
	pages.GET("/", func(c *gin.Context) { c.Redirect(http.StatusFound, "/docs/") })
	pages.GET("/docs", func(c *gin.Context) { c.Redirect(http.StatusFound, "/docs/") })
	pages.GET("/docs/*file", func(c *gin.Context) {
		request := c.Request.Clone(c)
		request.URL.Path = c.Param("file")
		found := slices.IndexFunc(files, func(files *statigz.Server) bool { return files.Found(request) })
		if found < 0 {
			s.RenderError(c, server.Reject(server.RouteNotFound))
			return
		}
		c.Header("Cache-Control", "no-cache")
		c.Header("Content-Security-Policy", swaggerPolicy)
		c.Header("Referrer-Policy", "no-referrer")
		if request.URL.Path == "/" {
			c.Data(http.StatusOK, "text/html; charset=utf-8", swagger)
			return
		}
		files[found].ServeHTTP(c.Writer, request)
	})
}

// swaggerPage returns the page of Swagger UI.
func swaggerPage(keepTokens bool) []byte {
	var page bytes.Buffer
	err := template.Must(template.ParseFS(docs, "docs/index.html")).Execute(&page, struct{ KeepTokens bool }{keepTokens})
	if err != nil {
		panic(fmt.Sprintf("the page of Swagger UI: %v", err)) // the template is in the binary
	}
	return page.Bytes()
}
