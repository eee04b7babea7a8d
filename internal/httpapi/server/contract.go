package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/routers"
	"github.com/gin-gonic/gin"

	talon "talon.example"
	"talon.example/internal/httpapi/static"
)

// contract finds the operation of a request by the route that gin has matched, so that there is
// only one router.
type contract struct {
	doc     *openapi3.T
	json    *static.File
	json31  *static.File        // in OpenAPI 3.1
	routes  map[string]*route   // by method and gin path
	literal map[string][]string // methods of each path without parameters
	actions map[string]string   // of the audited operations, by operationId
}

// route is an operation of the contract with its limits.
type route struct {
	*routers.Route
	limits

	audit        audited
	uncompressed bool       // the responses must not be compressed
	cacheControl string     // of a success
	form         bool       // the body is a form, and errors have the code of OAuth
	scopes       [][]string // the caller needs all scopes of one element; empty without a system token
	everyLpu     bool       // x-every-lpu: the caller must act for every institution
}

// Media types of bodies.
const (
	jsonType = "application/json"
	formType = "application/x-www-form-urlencoded"
)

// limits is the x-limits of an operation.
type limits struct {
	Body    int64 `json:"body"`    // bytes; 0 for an operation without a body
	Seconds int   `json:"seconds"` // until the response; 0 for an operation without security
	Stream  bool  `json:"stream"`  // the handler reads the body while it arrives; Seconds limits each pause
	Wait    bool  `json:"wait"`    // the handler may wait for something to happen
	Explain int   `json:"explain"` // the requests that one with explain=true counts as; 0 without the parameter
}

// loadContract parses the embedded document once per process. The result is never changed.
var loadContract = sync.OnceValues(readContract)

func readContract() (*contract, error) {
	doc, err := talon.Document()
	if err != nil {
		return nil, err
	}
	encoded, err := doc.MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("encode openapi.json: %w", err)
	}
	doc31, err := talon.Document31()
	if err != nil {
		return nil, err
	}
	encoded31, err := doc31.MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("encode openapi-3.1.json: %w", err)
	}
	routes, literal, actions := map[string]*route{}, map[string][]string{}, map[string]string{}
	for path, item := range doc.Paths.Map() {
		ginPath := strings.NewReplacer("{", ":", "}", "").Replace(path)
		for method, operation := range item.Operations() {
			found := &route{Route: &routers.Route{
				Spec: doc, Path: path, PathItem: item, Method: method, Operation: operation,
			}}
			if found.limits, err = readLimits(found); err != nil {
				return nil, fmt.Errorf("x-limits of %s: %w", operation.OperationID, err)
			}
			if found.audit, err = readAudit(found); err != nil {
				return nil, fmt.Errorf("x-audit of %s: %w", operation.OperationID, err)
			}
			if found.audit.Action != notAudited {
				actions[operation.OperationID] = found.audit.Action
			}
			// The size of a compressed token would disclose parts of it to a client that chooses
			// what is sent beside it (BREACH). A strong ETag must not name two different bodies.
			found.uncompressed = accepts(found, clientSecret) || hasETag(found)
			found.cacheControl = cacheControl(found)
			if body := requestBody(found); body != nil {
				found.form = body.Content[formType] != nil
			}
			found.everyLpu = operation.Extensions["x-every-lpu"] == true
			if needs(found, systemToken) {
				for _, one := range security(found) {
					found.scopes = append(found.scopes, one[systemToken])
				}
			}
			routes[method+" "+ginPath] = found
		}
		if path == ginPath {
			literal[path] = slices.Sorted(maps.Keys(item.Operations()))
		}
	}
	return &contract{
		doc, static.New(jsonType, encoded), static.New(jsonType, encoded31), routes, literal, actions,
	}, nil
}

// ContractJSON returns the contract as JSON.
func (s *Server) ContractJSON() *static.File { return s.contract.json }

// Contract31JSON returns the contract in OpenAPI 3.1, as JSON.
func (s *Server) Contract31JSON() *static.File { return s.contract.json31 }

// isHealth reports whether the operation is for the platform that runs the service.
func (r *route) isHealth() bool { return slices.Contains(r.Operation.Tags, "health") }

// timeout returns the maximum time from the end of the body to the response.
func (l limits) timeout() time.Duration { return time.Duration(l.Seconds) * time.Second }

// LongestTimeout returns the longest timeout of an operation in the contract. Streams set their own
// deadlines, and an operation that waits does not work meanwhile.
func LongestTimeout() (time.Duration, error) {
	contract, err := loadContract()
	if err != nil {
		return 0, err
	}
	var longest time.Duration
	for _, r := range contract.routes {
		if !r.Stream && !r.Wait {
			longest = max(longest, r.timeout())
		}
	}
	return longest, nil
}

// readLimits returns an error if an operation with a body or with security has no limit for it.
func readLimits(r *route) (limits, error) {
	var l limits
	raw, err := json.Marshal(r.Operation.Extensions["x-limits"])
	if err != nil {
		return l, err
	}
	if err := json.Unmarshal(raw, &l); err != nil {
		return l, err
	}
	if (requestBody(r) != nil) != (l.Body > 0) {
		return l, errors.New("body must be above 0 if the operation has a body, and else absent")
	}
	if (len(security(r)) > 0) != (l.Seconds > 0) {
		return l, errors.New("seconds must be above 0 if the operation has security, and else absent")
	}
	return l, nil
}

// methods returns the methods of all operations.
func (c *contract) methods() []string {
	methods := map[string]bool{}
	for _, r := range c.routes {
		methods[r.Method] = true
	}
	return slices.Sorted(maps.Keys(methods))
}

// requestHeaders returns the names of the request headers of all operations, and of those that
// every operation reads.
func (c *contract) requestHeaders() []string {
	names := map[string]bool{
		"Authorization": true, "Content-Type": true, "X-Request-Id": true, "Traceparent": true, "Tracestate": true,
		actingUser: true,
	}
	for _, r := range c.routes {
		for _, parameter := range r.Operation.Parameters {
			if parameter.Value.In == openapi3.ParameterInHeader {
				names[parameter.Value.Name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}

func (c *contract) route(g *gin.Context) *route {
	return c.routes[g.Request.Method+" "+g.FullPath()]
}

// The contract's security schemes.
const (
	codToken     = "codToken"
	systemToken  = "systemToken"
	clientSecret = "clientSecret"
)

// security returns the security requirements of the operation, or those of the document if the
// operation has none.
func security(r *route) openapi3.SecurityRequirements {
	if r.Operation.Security != nil {
		return *r.Operation.Security
	}
	return r.Spec.Security
}

// accepts reports whether a caller of the operation may use the security scheme.
func accepts(r *route, scheme string) bool {
	return slices.ContainsFunc(security(r), func(one openapi3.SecurityRequirement) bool {
		_, accepted := one[scheme]
		return accepted
	})
}

// needs reports whether every caller of the operation must use the security scheme.
func needs(r *route, scheme string) bool {
	others := func(one openapi3.SecurityRequirement) bool {
		_, required := one[scheme]
		return !required
	}
	return accepts(r, scheme) && !slices.ContainsFunc(security(r), others)
}

// cacheControl returns the Cache-Control of the operation's success: the example of the header.
func cacheControl(r *route) string {
	if success := r.Operation.Responses.Status(http.StatusOK); success != nil {
		if text, ok := success.Value.Headers["Cache-Control"].Value.Example.(string); ok {
			return text
		}
	}
	return noStore
}

// hasETag reports whether a response of the operation has an entity tag.
func hasETag(r *route) bool {
	for _, response := range r.Operation.Responses.Map() {
		if response.Value.Headers["ETag"] != nil {
			return true
		}
	}
	return false
}

// requestBody returns the operation's request body, or nil.
func requestBody(r *route) *openapi3.RequestBody {
	if r.Operation.RequestBody == nil {
		return nil
	}
	return r.Operation.RequestBody.Value
}
