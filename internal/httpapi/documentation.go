package httpapi

import (
	"bytes"
	"cmp"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"sync"

	"github.com/gin-gonic/gin"
	swagger "github.com/swaggest/swgui/v5/static"

	talon "talon.example"
	"talon.example/internal/httpapi/server"
	"talon.example/internal/httpapi/static"
)

// docs contains the pages under /docs/, and Redoc, which make redoc writes. Swagger UI is in
// swagger.FS.
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

// The files of the documentation are compressed at most once per process.
var (
	docsFiles     = sync.OnceValue(func() map[string]*static.File { return static.MustLoad(docs) })
	swaggerFiles  = sync.OnceValue(func() map[string]*static.File { return static.MustLoad(swagger.FS) })
	contractYAML  = sync.OnceValue(func() *static.File { return static.New("application/yaml", talon.Contract) })
	workflowsYAML = sync.OnceValue(func() *static.File { return static.New("application/yaml", talon.Workflows) })
)

// registerContract adds the contract as YAML and as JSON, also in OpenAPI 3.1, and its workflows.
func registerContract(s *server.Server) {
	pages := s.Pages()
	pages.Match(static.Methods, "/openapi.json", gin.WrapH(s.ContractJSON()))
	pages.Match(static.Methods, "/openapi-3.1.json", gin.WrapH(s.Contract31JSON()))
	pages.Match(static.Methods, "/openapi.yaml", gin.WrapH(contractYAML()))
	pages.Match(static.Methods, "/arazzo.yaml", gin.WrapH(workflowsYAML()))
}

// registerDocs adds the contract as pages, from files in the binary: Swagger UI to try it, and
// Redoc to read it. With keepTokens, Swagger UI stores the user's tokens in the browser.
func registerDocs(s *server.Server, keepTokens bool) {
	page := static.New("text/html; charset=utf-8", swaggerPage(keepTokens))
	toDocs := func(c *gin.Context) { c.Redirect(http.StatusFound, "/docs/") }
	pages := s.Pages()
	pages.Match(static.Methods, "/", toDocs)
	pages.Match(static.Methods, "/docs", toDocs)
	pages.Match(static.Methods, "/docs/*file", func(c *gin.Context) {
		name := strings.TrimPrefix(c.Param("file"), "/")
		if name == "" || strings.HasSuffix(name, "/") {
			name += "index.html"
		}
		file := page
		if name != "index.html" {
			file = cmp.Or(docsFiles()["docs/"+name], swaggerFiles()[name])
		}
		if file == nil {
			s.RenderError(c, server.Reject(server.RouteNotFound))
			return
		}
		policy := swaggerPolicy
		if strings.HasPrefix(name, "reference/") {
			policy = referencePolicy
		}
		c.Header("Content-Security-Policy", policy)
		file.ServeHTTP(c.Writer, c.Request)
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
