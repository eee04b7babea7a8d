package httpapi

import (
	"net/http"
	"strings"
	"sync"

	"github.com/gin-gonic/gin"
	"github.com/swaggest/swgui"
	swagger "github.com/swaggest/swgui/v5/static"
	"github.com/swaggest/swgui/v5emb"

	talon "talon.example"
	"talon.example/internal/httpapi/server"
	"talon.example/internal/httpapi/static"
)

// The files of the documentation are compressed at most once per process.
var (
	swaggerFiles = sync.OnceValue(func() map[string]*static.File { return static.MustLoad(swagger.FS) })
	contractYAML = sync.OnceValue(func() *static.File { return static.New("application/yaml", talon.Contract) })
)

// registerDocs adds the contract as JSON and YAML, and Swagger UI from assets in the binary.
func registerDocs(s *server.Server) {
	pages, files := s.Pages(), swaggerFiles()
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
	toDocs := func(c *gin.Context) { c.Redirect(http.StatusFound, "/docs/") }
	pages.Match(static.Methods, "/", toDocs)
	pages.Match(static.Methods, "/docs", toDocs)
	pages.Match(static.Methods, "/docs/*file", func(c *gin.Context) {
		name := strings.TrimPrefix(c.Param("file"), "/")
		switch file := files[name]; {
		case name == "":
			ui.ServeHTTP(c.Writer, c.Request)
		case file != nil:
			file.ServeHTTP(c.Writer, c.Request)
		default:
			s.RenderError(c, server.Reject(server.RouteNotFound))
		}
	})
	pages.Match(static.Methods, "/openapi.json", gin.WrapH(s.ContractJSON()))
	pages.Match(static.Methods, "/openapi.yaml", gin.WrapH(contractYAML()))
}

// docsHead sets the viewport for phones and keeps inline code from covering adjacent lines.
const docsHead = `<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
.swagger-ui .renderedMarkdown code, .swagger-ui .markdown code { ` +
	`padding: 1px 4px; font-size: 12px; line-height: 1; overflow-wrap: anywhere }
.swagger-ui .response-col_links { display: none }
</style>`
