package server

import (
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/gin-contrib/cors"
	"github.com/gin-gonic/gin"
)

// AnyOrigin in Config.CORSOrigins allows pages of every origin.
const AnyOrigin = "*"

// preflightLife is how long a browser may reuse the response to a preflight: the maximum of
// Chromium.
const preflightLife = 2 * time.Hour

// crossOrigin returns a middleware that allows pages of the given origins to call the operations
// and to read all documented headers. It responds to their preflights. Requests of other origins,
// and OPTIONS requests that are no preflights, pass as if there were no CORS. Cookies and passwords
// of the browser are never allowed: a caller sends its token itself.
func crossOrigin(origins []string, contract *contract) gin.HandlerFunc {
	if len(origins) == 0 {
		return func(*gin.Context) {}
	}
	anyOrigin := slices.Contains(origins, AnyOrigin)
	writeHeaders := cors.New(cors.Config{
		AllowOrigins:  origins,
		AllowMethods:  contract.methods(),
		AllowHeaders:  contract.requestHeaders(),
		ExposeHeaders: slices.Collect(maps.Keys(contract.doc.Components.Headers)),
		MaxAge:        preflightLife,
	})
	return func(c *gin.Context) {
		header := c.Writer.Header()
		if !anyOrigin {
			// The response is another one for another origin, also for a cache between them.
			header.Add("Vary", "Origin")
		}
		allowed := anyOrigin || slices.Contains(origins, c.GetHeader("Origin"))
		preflight := c.GetHeader("Access-Control-Request-Method") != ""
		if !allowed || c.Request.Method == http.MethodOptions && !preflight {
			return
		}
		vary := header["Vary"]
		writeHeaders(c)
		header["Vary"] = vary // the library replaces it by a slice that its requests share
	}
}
