package httpapi

import (
	"fmt"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/routers"
	"github.com/gin-gonic/gin"

	"talon.example/gen/api"
)

// contract finds the operation that a request asks for by the route that gin has matched, so that there is one router and no disagreement.
type contract struct {
	json   []byte
	routes map[string]*routers.Route // by method and gin's path
}

func loadContract() (*contract, error) {
	doc, err := api.GetSpec()
	if err != nil {
		return nil, fmt.Errorf("read the embedded document: %w", err)
	}
	json, err := api.GetSpecJSON()
	if err != nil {
		return nil, fmt.Errorf("read the embedded document: %w", err)
	}
	routes := map[string]*routers.Route{}
	for path, item := range doc.Paths.Map() {
		ginPath := strings.NewReplacer("{", ":", "}", "").Replace(path)
		for method, operation := range item.Operations() {
			routes[method+" "+ginPath] = &routers.Route{Spec: doc, Path: path, PathItem: item, Method: method, Operation: operation}
		}
	}
	return &contract{json, routes}, nil
}

func (c *contract) route(g *gin.Context) *routers.Route {
	return c.routes[g.Request.Method+" "+g.FullPath()]
}

// needsToken tells whether the operation asks for a COD token: its own security, or else the document's.
func needsToken(route *routers.Route) bool {
	security := &route.Spec.Security
	if route.Operation.Security != nil {
		security = route.Operation.Security
	}
	return len(*security) > 0
}

// requestBody is the schema of the operation's JSON body, or nil.
func requestBody(route *routers.Route) *openapi3.RequestBody {
	if route.Operation.RequestBody == nil {
		return nil
	}
	return route.Operation.RequestBody.Value
}
