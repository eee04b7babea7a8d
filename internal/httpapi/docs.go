package httpapi

import (
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/swaggest/swgui"
	"github.com/swaggest/swgui/v5emb"

	talon "talon.example"
)

// serveDocs serves the contract in both notations and Swagger UI on top of it, from assets inside the binary.
func (s *server) serveDocs(engine *gin.Engine) {
	ui := v5emb.NewHandlerWithConfig(swgui.Config{
		Title:       "Talon",
		SwaggerJSON: "/openapi.json",
		BasePath:    "/docs/",
		SettingsUI: map[string]string{
			"persistAuthorization":     "true",
			"displayRequestDuration":   "true",
			"tryItOutEnabled":          "true",
			"defaultModelsExpandDepth": "0",
		},
	})
	engine.GET("/", func(c *gin.Context) { c.Redirect(http.StatusFound, "/docs/") })
	engine.GET("/docs", func(c *gin.Context) { c.Redirect(http.StatusFound, "/docs/") })
	engine.GET("/docs/*file", gin.WrapH(ui))
	engine.GET("/openapi.json", func(c *gin.Context) { c.Data(http.StatusOK, "application/json", s.contract.json) })
	engine.GET("/openapi.yaml", func(c *gin.Context) { c.Data(http.StatusOK, "application/yaml", talon.Contract) })
}
