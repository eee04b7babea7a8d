package httpapi

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/swaggest/swgui/v5/static"
	"github.com/vearutop/statigz"

	talon "talon.example"
	"talon.example/internal/httpapi/server"
)

// docs contains the pages under /docs/, and Redoc, which make redoc writes. Swagger UI is in
// static.FS.
//
//go:embed docs
var docs embed.FS

// The Content-Security-Policies of the pages allow the page's own files and calls of this service.
// They forbid inline scripts, other origins and framing. Redoc writes two style elements, which are
// allowed by their hashes, and searches in a worker. The first hash is that of an empty element,
// which styled-components fills through the DOM. The tests in portal/test require that the browser
// reports no violation.
const (
	commonPolicy = "default-src 'none'; script-src 'self'; img-src 'self' data:; connect-src 'self'; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
	swaggerPolicy   = commonPolicy + "style-src 'self'"
	referencePolicy = commonPolicy + "worker-src blob:; style-src 'self' " +
		"'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=' 'sha256-QMIg+bpjm3JdElJ388KYke01izlUW0UoNOeKjpMxdgc='"
)

// registerContract adds the contract as YAML and as JSON, also in OpenAPI 3.1, and its workflows.
func registerContract(s *server.Server) {
	pages := s.Pages()
	pages.GET("/openapi.json", func(c *gin.Context) { c.Data(http.StatusOK, "application/json", s.ContractJSON()) })
	pages.GET("/openapi-3.1.json", func(c *gin.Context) {
		c.Data(http.StatusOK, "application/json", s.Contract31JSON())
	})
	pages.GET("/openapi.yaml", func(c *gin.Context) { c.Data(http.StatusOK, "application/yaml", talon.Contract) })
	pages.GET("/arazzo.yaml", func(c *gin.Context) { c.Data(http.StatusOK, "application/yaml", talon.Workflows) })
}

// registerDocs adds the contract as pages, from files in the binary: Swagger UI to try it, and
// Redoc to read it. With keepTokens, Swagger UI stores the user's tokens in the browser.
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
		policy := swaggerPolicy
		if strings.HasPrefix(request.URL.Path, "/reference/") {
			policy = referencePolicy
		}
		c.Header("Cache-Control", "no-cache")
		c.Header("Content-Security-Policy", policy)
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
	if err := template.Must(template.ParseFS(docs, "docs/index.html")).Execute(&page, keepTokens); err != nil {
		panic(fmt.Sprintf("the page of Swagger UI: %v", err)) // the template is in the binary
	}
	return page.Bytes()
}
