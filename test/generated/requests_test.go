package generated_test

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/internal/auth"
	"talon.example/internal/booking"
	"talon.example/internal/sandbox"
	"talon.example/test/harness"
)

// operation is an operation of the contract, with what the generator needs of it.
type operation struct {
	*openapi3.Operation

	method, path string
	parameters   []*openapi3.Parameter
	body         *openapi3.SchemaRef // nil if it has none
	bodyRequired bool
	maxBody      int            // bytes
	security     string         // the name of the scheme, empty for public operations
	weights      map[string]int // of the parameters and members of the body, by normalized name
	others       []string       // all methods of its path
}

// operations returns the operations of the contract, sorted by path and method, without those whose
// body is a form or a file: the generator writes JSON bodies.
func operations(t testing.TB) []*operation {
	t.Helper()
	var found []*operation
	for _, path := range sortedKeys(harness.ContractDoc().Paths.Map()) {
		item := harness.ContractDoc().Paths.Value(path)
		methods := sortedKeys(item.Operations())
		for _, method := range methods {
			o := &operation{
				Operation: item.Operations()[method], method: method, path: path, others: methods,
				weights: map[string]int{},
			}
			for _, ref := range slices.Concat(item.Parameters, o.Parameters) {
				require.Contains(t, []string{"path", "query", "header"}, ref.Value.In,
					"%s: the generator does not support parameters there", o.OperationID)
				o.parameters = append(o.parameters, ref.Value)
				o.weights[normalize(ref.Value.Name)] = weight(ref.Value.Required)
			}
			if o.RequestBody != nil {
				content := o.RequestBody.Value.Content["application/json"]
				if content == nil {
					require.Contains(t, []string{"getSystemToken", "createImport"}, o.OperationID)
					continue
				}
				o.body, o.bodyRequired = content.Schema, o.RequestBody.Value.Required
				o.maxBody = int(o.Extensions["x-limits"].(map[string]any)["body"].(float64))
				schema := flattened(o.body)
				for name := range schema.Properties {
					o.weights[normalize(name)] = weight(slices.Contains(schema.Required, name))
				}
			}
			requirements := harness.ContractDoc().Security
			if o.Security != nil {
				requirements = *o.Security
			}
			for _, requirement := range requirements {
				for scheme := range requirement {
					o.security = scheme
				}
			}
			found = append(found, o)
		}
	}
	return found
}

// The weight of a value for an operation.
const (
	optional = 1
	required = 3
)

func weight(isRequired bool) int {
	if isRequired {
		return required
	}
	return optional
}

// argument is a parameter with its values, of which a list has several.
type argument struct {
	*openapi3.Parameter

	texts []string
}

// draft is a request before it is sent.
type draft struct {
	*operation

	facts     facts  // the caller, and the values that the request was generated from
	origin    *facts // the facts that were chosen first
	arguments []*argument
	fields    any  // of the body
	hasFields bool // whether there is a body

	// These fields override the rest.
	verb          string
	template      string // the path with its parameters
	route         func(path string) string
	query         []string // added unescaped
	header        http.Header
	authorization []string
	text          *string // the body instead of the fields
	escape        func(text string) string
	chunked       bool

	flaw *flaw
}

// value returns the value of a parameter or of a member of the body, or nil if it is not set.
func (d *draft) value(name string) any {
	for _, a := range d.arguments {
		if a.Name == name && len(a.texts) > 0 {
			return valueOf(a.Schema.Value, a.texts[0])
		}
	}
	if o, ok := d.fields.(*object); ok {
		value, _ := o.get(name)
		return value
	}
	return nil
}

// isMisrouted reports whether the request matches no operation.
func (d *draft) isMisrouted() bool {
	return d.flaw != nil && (slices.Contains(d.flaw.rules, "route_not_found") ||
		slices.Contains(d.flaw.rules, "method_not_allowed"))
}

// draft returns a request that keeps the contract. It uses facts, and wanted decides which optional
// values it has.
func (g *generator) draft(o *operation, from facts, wanted func(name string) bool) *draft {
	d := &draft{
		operation: o, facts: from, verb: o.method, template: o.path,
		route:  func(path string) string { return path },
		header: http.Header{}, escape: escape,
	}
	if g.chance(0.06) {
		d.facts.person = g.persons[g.IntN(len(g.persons))]
	}
	if g.chance(0.06) {
		d.facts.client = g.clients[g.IntN(len(g.clients))]
	}
	odd := "" // the name of a value that is generated though it may be known
	if len(o.weights) > 0 && g.chance(0.25) {
		odd = sortedKeys(o.weights)[g.IntN(len(o.weights))]
	}
	recall := func(name string) (any, bool) {
		switch value, known := from.lookup(name); {
		case normalize(name) == odd:
			return nil, false
		case known:
			return value, true
		case g.chance(0.3):
			return g.facts[g.IntN(len(g.facts))].lookup(name)
		default:
			return nil, false
		}
	}
	for _, parameter := range o.parameters {
		if parameter.Required || wanted(parameter.Name) {
			d.arguments = append(d.arguments, &argument{parameter, g.argument(parameter, recall)})
		}
	}
	if o.body != nil && (o.bodyRequired || wanted("") || g.chance(0.5)) {
		d.fields, d.hasFields = g.generate(o.body, "", recall, wanted), true
		d.header.Set("Content-Type", "application/json")
	}
	d.authorization = g.authorization(d)
	return d
}

// argument generates the texts of a parameter.
func (g *generator) argument(parameter *openapi3.Parameter, recall func(string) (any, bool)) []string {
	for {
		value := g.generate(parameter.Schema, parameter.Name, recall, wantAll)
		items, many := value.([]any)
		if !many {
			items = []any{value}
		}
		var texts []string
		for _, item := range items {
			texts = append(texts, fmt.Sprint(item))
		}
		if len(texts) > 0 && !slices.ContainsFunc(texts, func(text string) bool {
			return !isSendable(parameter.In, text)
		}) {
			return texts
		}
		recall = recallNothing
	}
}

// isSendable reports whether a text is allowed in a parameter. The contract allows no empty text,
// and a URL no NUL. A header has visible characters only, and HTTP trims its spaces.
func isSendable(in, text string) bool {
	if in == openapi3.ParameterInHeader {
		return text != "" && text == strings.TrimSpace(text) && !strings.ContainsFunc(text, func(r rune) bool {
			return r < ' ' || r == 0x7f
		})
	}
	return text != "" && !strings.Contains(text, "\x00")
}

// authorization returns the valid credentials for the operation.
func (g *generator) authorization(d *draft) []string {
	switch scheme := harness.ContractDoc().Components.SecuritySchemes[d.security]; {
	case scheme == nil:
		return nil
	case scheme.Value.Scheme == "bearer", scheme.Value.Type == "oauth2":
		return []string{"Bearer " + g.tokenOf(d.caller(), "issuer", "talon", harness.Moment, 12*time.Hour)}
	case scheme.Value.Scheme == "basic":
		return []string{basic(d.facts.client.String(), sandbox.ClientSecret)}
	default:
		panic("the generator does not support " + d.security)
	}
}

func basic(user, password string) string {
	request := http.Request{Header: http.Header{}}
	request.SetBasicAuth(user, password)
	return request.Header.Get("Authorization")
}

// regionCaller may do everything in all institutions.
var regionCaller = auth.Caller{Client: sandbox.RegionClient, Scopes: booking.Scopes, EveryLpu: true}

// caller returns the caller of the request, of the kind that the operation needs.
func (d *draft) caller() auth.Caller {
	if d.security == systemToken {
		return regionCaller
	}
	return auth.Caller{Person: d.facts.person, Client: d.facts.client}
}

func (g *generator) tokenOf(caller auth.Caller, issuer, audience string, at time.Time, life time.Duration) string {
	name := fmt.Sprint(caller.Person, caller.Client, issuer, audience, at, life)
	if g.tokens[name] == "" {
		signed, err := g.Key.Sign(caller, issuer, audience, at, life)
		require.NoError(g.T, err)
		g.tokens[name] = signed
	}
	return g.tokens[name]
}

// varyEncoding changes the encoding of a request, but not its content.
func (g *generator) varyEncoding(d *draft) {
	if g.chance(0.2) {
		d.escape = escapeAll
	}
	if g.chance(0.2) {
		d.query = append(d.query, "unknown="+marker, url.QueryEscape("ключ "+marker)+"=%D0%B6&flag")
	}
	if g.chance(0.2) {
		d.header.Set("X-Unknown", marker)
		d.header.Set("X-Request-Id", uuid.Nil.String())
	}
	if d.security == "" && g.chance(0.3) {
		d.authorization = []string{"Bearer " + marker}
	}
	if !d.hasFields {
		return
	}
	if g.chance(0.2) {
		d.chunked = true
	}
	if g.chance(0.2) {
		spaced := encode(d.fields, func() string { return []string{"", " ", "\n\t", "\r\n"}[g.IntN(4)] })
		d.text = &spaced
	}
	if g.chance(0.2) {
		d.header.Set("Content-Type", []string{
			"application/json; charset=utf-8", "application/json;charset=UTF-8", "Application/JSON",
			`application/json; charset="utf-8"`,
		}[g.IntN(4)])
	}
}

// escape escapes a text for a URL.
func escape(text string) string { return strings.ReplaceAll(url.QueryEscape(text), "+", "%20") }

// escapeAll escapes every character, also those that do not need it.
func escapeAll(text string) string {
	var all strings.Builder
	for i := range len(text) {
		fmt.Fprintf(&all, []string{"%%%02x", "%%%02X"}[i%2], text[i])
	}
	return all.String()
}

// target returns the path and query of the request.
func (d *draft) target() string {
	path := d.template
	var query []string
	for _, a := range d.arguments {
		for _, text := range a.texts {
			switch a.In {
			case openapi3.ParameterInPath:
				path = strings.ReplaceAll(path, "{"+a.Name+"}", d.escape(text))
			case openapi3.ParameterInQuery:
				query = append(query, d.escape(a.Name)+"="+d.escape(text))
			}
		}
	}
	path = d.route(path)
	if query = append(query, d.query...); len(query) > 0 {
		path += "?" + strings.Join(query, "&")
	}
	return path
}

// content returns the body, and whether there is one.
func (d *draft) content() (string, bool) {
	switch {
	case d.text != nil:
		return *d.text, true
	case d.hasFields:
		return encode(d.fields, noSpace), true
	default:
		return "", false
	}
}

// headers returns all headers of the request.
func (d *draft) headers() http.Header {
	headers := maps.Clone(d.header)
	for _, a := range d.arguments {
		if a.In == openapi3.ParameterInHeader {
			headers[http.CanonicalHeaderKey(a.Name)] = a.texts
		}
	}
	if len(d.authorization) > 0 {
		headers["Authorization"] = d.authorization
	}
	return headers
}

// request returns the HTTP request.
func (d *draft) request(s *harness.Service) *http.Request {
	s.T.Helper()
	var body io.Reader
	if text, ok := d.content(); ok {
		body = strings.NewReader(text)
		if d.chunked {
			body = struct{ io.Reader }{body}
		}
	}
	request := s.NewRequest(d.verb, d.target(), body)
	request.Header = d.headers()
	return request
}

// curl returns the request as a shell command for the demo of make run at $TALON. It needs
// TALON_SANDBOX_KEY_FILE.
func (d *draft) curl() string {
	const longest = 4000
	quote := func(text string) string {
		if len(text) > longest {
			return fmt.Sprintf("'(%d bytes, which the seed generates again)'", len(text))
		}
		if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\'' || r == '\ufffd' }) {
			var quoted strings.Builder
			for i := range len(text) {
				if b := text[i]; b < ' ' || b >= 0x7f || b == '\'' || b == '\\' {
					fmt.Fprintf(&quoted, `\x%02x`, b)
				} else {
					quoted.WriteByte(b)
				}
			}
			return "$'" + quoted.String() + "'"
		}
		return "'" + text + "'"
	}
	var line bytes.Buffer
	fmt.Fprintf(&line, `curl -isS --path-as-is -X %s "$TALON"%s`, d.verb, quote(d.target()))
	headers := d.headers()
	for _, name := range sortedKeys(headers) {
		for _, value := range headers[name] {
			if name == "Authorization" && slices.Equal(headers[name], d.authorization) &&
				strings.HasPrefix(value, "Bearer ey") && d.flaw == nil {
				fmt.Fprintf(&line, ` -H "Authorization: Bearer $(bin/talon-sandbox token --person %s --client %s)"`,
					d.facts.person, d.facts.client)
				continue
			}
			fmt.Fprintf(&line, ` -H %s`, quote(name+": "+value))
		}
	}
	if d.chunked {
		line.WriteString(" -H 'Transfer-Encoding: chunked'")
	}
	if text, ok := d.content(); ok {
		fmt.Fprintf(&line, ` --data-binary %s`, quote(text))
	}
	return line.String()
}

// list returns the list that a request pages through: its operation, the webhook of a log, and the
// order of visits, which changes with updatedSince. A cursor of one list is none of another.
func (d *draft) list() string {
	switch {
	case d.OperationID == "listDeliveries":
		return fmt.Sprint(d.OperationID, " of ", d.value("webhookGuid"))
	case d.OperationID == "listVisits" && d.value("updatedSince") != nil:
		return d.OperationID + " by change"
	default:
		return d.OperationID
	}
}
