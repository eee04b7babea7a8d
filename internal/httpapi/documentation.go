package httpapi

import (
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/swaggest/swgui"
	"github.com/swaggest/swgui/v5emb"

	talon "talon.example"
	"talon.example/internal/httpapi/server"
)

// registerDocs adds the contract as YAML and as JSON, also in OpenAPI 3.1, and Swagger UI from
// assets in the binary.
func registerDocs(s *server.Server) {
	pages := s.Pages()
	ui := v5emb.NewHandlerWithConfig(swgui.Config{
		Title:       "Talon",
		SwaggerJSON: "/openapi.yaml",
		BasePath:    "/docs/",
		AppendHead:  docsHead,
		SettingsUI: map[string]string{
			"persistAuthorization":     "true",
			"displayRequestDuration":   "true",
			"tryItOutEnabled":          "true",
			"defaultModelsExpandDepth": "0",
			"defaultModelExpandDepth":  "2",
			"showExtensions":           "false",
		},
	})
	pages.GET("/", func(c *gin.Context) { c.Redirect(http.StatusFound, "/docs/") })
	pages.GET("/docs", func(c *gin.Context) { c.Redirect(http.StatusFound, "/docs/") })
	pages.GET("/docs/*file", func(c *gin.Context) {
		w := &notFoundWriter{ResponseWriter: c.Writer}
		ui.ServeHTTP(w, c.Request)
		if w.missing {
			s.RenderError(c, server.Reject(server.RouteNotFound))
		}
	})
	pages.GET("/openapi.json", func(c *gin.Context) { c.Data(http.StatusOK, "application/json", s.ContractJSON()) })
	pages.GET("/openapi-3.1.json", func(c *gin.Context) {
		c.Data(http.StatusOK, "application/json", s.Contract31JSON())
	})
	pages.GET("/openapi.yaml", func(c *gin.Context) { c.Data(http.StatusOK, "application/yaml", talon.Contract) })
}

// docsHead sets the viewport for phones and keeps inline code from covering adjacent lines.
const docsHead = `<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
.swagger-ui .renderedMarkdown code, .swagger-ui .markdown code { ` +
	`padding: 1px 4px; font-size: 12px; line-height: 1; overflow-wrap: anywhere }
.swagger-ui .response-col_links { display: none }
</style>`

// notFoundWriter passes on the response of the file server, but drops its 404, so that RenderError
// writes it.
type notFoundWriter struct {
	http.ResponseWriter

	missing bool
}

// WriteHeader implements http.ResponseWriter.
func (f *notFoundWriter) WriteHeader(status int) {
	if status == http.StatusNotFound {
		f.missing = true
		return
	}
	f.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (f *notFoundWriter) Write(data []byte) (int, error) {
	if f.missing {
		return len(data), nil
	}
	return f.ResponseWriter.Write(data)
}
