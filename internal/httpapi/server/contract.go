package server

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/routers"
	"github.com/gin-gonic/gin"

	talon "talon.example"
)

// contract finds the operation that a request asks for by the route that gin has matched, so that there is one router and no disagreement.
type contract struct {
	json    []byte
	routes  map[string]*routers.Route // by method and gin's path
	literal map[string][]string       // the methods of each path that has no parameters
}

// loadContract reads the embedded document, once for all handlers of the process: nobody changes it.
var loadContract = sync.OnceValues(readContract)

func readContract() (*contract, error) {
	doc, err := talon.Document()
	if err != nil {
		return nil, err
	}
	json, err := doc.MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("write openapi.json: %w", err)
	}
	routes, literal := map[string]*routers.Route{}, map[string][]string{}
	for path, item := range doc.Paths.Map() {
		ginPath := strings.NewReplacer("{", ":", "}", "").Replace(path)
		for method, operation := range item.Operations() {
			routes[method+" "+ginPath] = &routers.Route{Spec: doc, Path: path, PathItem: item, Method: method, Operation: operation}
		}
		if path == ginPath {
			literal[path] = slices.Sorted(maps.Keys(item.Operations()))
		}
	}
	return &contract{json, routes, literal}, nil
}

// ContractJSON returns the contract as JSON.
func (s *Server) ContractJSON() []byte { return s.contract.json }

func (c *contract) route(g *gin.Context) *routers.Route {
	return c.routes[g.Request.Method+" "+g.FullPath()]
}

// The contract's security schemes.
const (
	codToken     = "codToken"
	clientSecret = "clientSecret"
)

// security is what the operation asks whoever calls it for: its own, or else the document's.
func security(route *routers.Route) openapi3.SecurityRequirements {
	if route.Operation.Security != nil {
		return *route.Operation.Security
	}
	return route.Spec.Security
}

// needs tells whether the operation asks for this scheme.
func needs(route *routers.Route, scheme string) bool {
	return slices.ContainsFunc(security(route), func(r openapi3.SecurityRequirement) bool { _, asked := r[scheme]; return asked })
}

// requestBody is the schema of the operation's JSON body, or nil.
func requestBody(route *routers.Route) *openapi3.RequestBody {
	if route.Operation.RequestBody == nil {
		return nil
	}
	return route.Operation.RequestBody.Value
}
