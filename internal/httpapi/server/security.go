package server

import "github.com/gin-gonic/gin"

// DataPolicy is the Content-Security-Policy of responses that are no pages. A browser that shows
// one loads and runs nothing for it, and shows it in no frame.
const DataPolicy = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// secure sets the headers that limit what a browser does with the response. Pages replace the
// policy by their own. Strict-Transport-Security is for the proxy that terminates TLS: it applies
// to all ports of its host name.
func secure(c *gin.Context) {
	c.Header("X-Content-Type-Options", "nosniff")
	c.Header("Referrer-Policy", "no-referrer") // paths contain guids of referrals and visits
	c.Header("Content-Security-Policy", DataPolicy)
	c.Header("Cross-Origin-Opener-Policy", "same-origin")
	// Pages of other origins need CORS, and cannot embed a response without it.
	c.Header("Cross-Origin-Resource-Policy", "same-origin")
}
