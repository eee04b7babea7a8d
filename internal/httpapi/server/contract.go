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

// contract finds the operation of a request by the route that gin has matched, so that there is
// only one router.
type contract struct {
	json    []byte
	routes  map[string]*routers.Route // by method and gin path
	literal map[string][]string       // methods of each path without parameters
}

// loadContract parses the embedded document once per process. The result is never changed.
var loadContract = sync.OnceValues(readContract)

func readContract() (*contract, error) {
	doc, err := talon.Document()
	if err != nil {
		return nil, err
	}
	json, err := doc.MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("encode openapi.json: %w", err)
	}
	routes, literal := map[string]*routers.Route{}, map[string][]string{}
	for path, item := range doc.Paths.Map() {
		ginPath := strings.NewReplacer("{", ":", "}", "").Replace(path)
		for method, operation := range item.Operations() {
			routes[method+" "+ginPath] = &routers.Route{
				Spec: doc, Path: path, PathItem: item, Method: method, Operation: operation,
			}
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

// security returns the security requirements of the operation, or those of the document if the
// operation has none.
func security(route *routers.Route) openapi3.SecurityRequirements {
	if route.Operation.Security != nil {
		return *route.Operation.Security
	}
	return route.Spec.Security
}

// needs reports whether the operation requires the security scheme.
func needs(route *routers.Route, scheme string) bool {
	return slices.ContainsFunc(security(route), func(r openapi3.SecurityRequirement) bool {
		_, required := r[scheme]
		return required
	})
}

// requestBody returns the operation's request body, or nil.
func requestBody(route *routers.Route) *openapi3.RequestBody {
	if route.Operation.RequestBody == nil {
		return nil
	}
	return route.Operation.RequestBody.Value
}
