package httpapi

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"

	"talon.example/internal/audit"
	"talon.example/internal/httpapi/server"
)

// auditOf keeps the records of requests.
type auditOf struct{ records []audit.Record }

func (*auditOf) Available() error { return nil }

func (a *auditOf) Write(_ context.Context, records []audit.Record) error {
	a.records = append(a.records, records...)
	return nil
}

// Promise: a handler that fails while it writes its response gives the internal error, and nothing
// of the success, because the response is held back until its record is written. The record has the
// same outcome.
func TestFailureWithinAResponse(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(*server.Server, *gin.Context){
		"a panic":  func(*server.Server, *gin.Context) { panic("half of the response") },
		"an error": func(s *server.Server, c *gin.Context) { s.RenderError(c, errors.New("cannot be encoded")) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var kept auditOf
			chain, token := chainWithToken(t, time.Now(), &kept)
			chain.Operations().GET("/directions", func(c *gin.Context) {
				c.Header("ETag", `"half"`)
				c.Header("Content-Length", "100")
				c.Status(http.StatusOK)
				_, err := c.Writer.WriteString(`{"items": [`)
				require.NoError(t, err)
				fail(chain, c)
			})
			request := httptest.NewRequest(http.MethodGet, "/directions", nil)
			request.Header.Set("Authorization", "Bearer "+token)
			response := httptest.NewRecorder()
			chain.ServeHTTP(response, request)
			require.Equal(t, http.StatusInternalServerError, response.Code)
			requireError(t, response, server.InternalError)
			require.Empty(t, response.Header().Get("ETag"))
			require.Len(t, kept.records, 1)
			require.Equal(t, http.StatusInternalServerError, kept.records[0].Status)
			require.Equal(t, server.InternalError, kept.records[0].Rule)
		})
	}
}
