package server

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/gin-gonic/gin"
	"github.com/go-json-experiment/json/jsontext"

	"talon.example/internal/booking"
)

// maxDiscarded is the maximum number of bytes that are read and discarded of a body that is too
// large.
const maxDiscarded = 256 << 10

var validation = &openapi3filter.Options{
	MultiError: true,
	// The handler must receive the validated values. Decoding the body again would ignore the case
	// of keys.
	KeepValidatedValue:  true,
	SkipSettingDefaults: true,
	// authenticate has verified the token.
	AuthenticationFunc:      openapi3filter.NoopAuthenticationFunc,
	SchemaValidationOptions: []openapi3.SchemaValidationOption{openapi3.DisableSchemaErrorDetails()},
}

// maxExplained is the size in bytes of the largest body of which all invalid fields are looked for,
// and not only the first. A megabyte can have hundreds of thousands, which took four seconds.
const maxExplained = 64 << 10

// validationOf returns the options for a body.
func validationOf(body []byte) *openapi3filter.Options {
	if len(body) <= maxExplained {
		return validation
	}
	first := *validation
	first.MultiError = false
	return &first
}

// readBody reads the body of an operation that has one, so that later steps never wait for the
// client. An optional body may be absent; its media type is then ignored. A body that is a stream
// is left to the handler.
func (s *Server) readBody(c *gin.Context) {
	route := s.contract.route(c)
	expected := requestBody(route)
	if expected == nil {
		return
	}
	c.Request.Body = clientBody{c.Request.Body}
	if route.Stream {
		if err := openStream(c, route); err != nil {
			s.RenderError(c, err)
		}
		return
	}
	began := time.Now()
	defer func() { c.Set(bodyTimeKey, time.Since(began)) }()
	if route.form {
		form, err := readForm(c, route.Body)
		if err != nil {
			s.RenderError(c, err)
			return
		}
		c.Request.PostForm, c.Request.Form = form, form // without the parameters of the query
		return
	}
	body, err := readJSON(c, expected.Required, route.Body)
	if err != nil {
		s.RenderError(c, err)
		return
	}
	c.Set(bodyKey, body)
	c.Request.Body = io.NopCloser(bytes.NewReader(body))
}

// clientBody is the body of a request as the client sends it. Its error wraps errClientGone if the
// client has reset or closed the connection before the end of the body.
type clientBody struct{ io.ReadCloser }

func (b clientBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	operation, ok := errors.AsType[*net.OpError](err)
	if errors.Is(err, io.ErrUnexpectedEOF) || ok && !operation.Timeout() {
		err = fmt.Errorf("%w: %w", errClientGone, err)
	}
	return n, err
}

// Keys in gin's context under which readBody stores the JSON of the body, and the time.Duration for
// which the client has sent it.
const (
	bodyKey     = "body"
	bodyTimeKey = "bodyTime"
)

// validate checks the request against the contract.
func (s *Server) validate(c *gin.Context) {
	route := s.contract.route(c)
	params := make(map[string]string, len(c.Params))
	var invalid []booking.FieldProblem
	for i, param := range c.Params {
		value, err := url.PathUnescape(param.Value)
		if err != nil {
			value = "\x00" // no parameter may contain it
		}
		params[param.Key] = value
		c.Params[i].Value = value // the generated code reads this value
	}
	input := &openapi3filter.RequestValidationInput{
		Request: c.Request, PathParams: params, Route: route.Route, Options: validation,
	}
	for _, parameter := range route.Operation.Parameters {
		if problem := validateParameter(c, input, parameter.Value); problem != nil {
			invalid = append(invalid, booking.FieldProblem{Name: parameter.Value.Name, Problem: *problem})
		}
	}
	if route.form {
		invalid = append(invalid, validateForm(c, requestBody(route).Content[formType].Schema.Value)...)
	} else if body := requestBody(route); body != nil && !route.Stream {
		content, _ := c.Value(bodyKey).([]byte)
		input.Options = validationOf(content)
		err := openapi3filter.ValidateRequestBody(c.Request.Context(), input, body)
		fields := invalidFields(err)
		if err != nil && len(fields) == 0 {
			s.RenderError(c, Malformed(booking.ProblemBodyOther).Because(err))
			return
		}
		invalid = append(invalid, fields...)
	}
	if len(invalid) > 0 {
		s.RenderError(c, booking.InvalidFields(invalid[:min(len(invalid), maxInvalid)]))
	}
}

// maxInvalid is the maximum number of fields that a response names.
const maxInvalid = 20

// validateParameter returns what is wrong with one parameter, or nil. Unknown parameters are
// ignored.
func validateParameter(
	ctx context.Context, input *openapi3filter.RequestValidationInput, parameter *openapi3.Parameter,
) *booking.Problem {
	given, readable := []string{input.PathParams[parameter.Name]}, true
	switch parameter.In {
	case openapi3.ParameterInQuery:
		given, readable = queryValues(input.Request.URL.RawQuery, parameter.Name)
	case openapi3.ParameterInHeader:
		given = input.Request.Header.Values(parameter.Name)
	}
	switch {
	case !readable:
		return &booking.ProblemCharacters
	case parameter.Required && len(given) == 0:
		return &booking.ProblemMissing
	case slices.Contains(given, ""):
		return &booking.ProblemEmpty
	case len(given) > 1 && !parameter.Schema.Value.Type.Is("array"):
		return &booking.ProblemRepeated
	}
	schema := parameter.Schema.Value
	if schema.Type.Is("array") {
		schema = schema.Items.Value
	}
	for _, value := range given {
		switch {
		case !utf8.ValidString(value) || strings.ContainsRune(value, 0):
			return &booking.ProblemCharacters
		case schema.Type.Is("boolean") && value != "true" && value != "false": // the library also accepts 1 and TRUE
			return &booking.ProblemNotBoolean
		}
	}
	err := openapi3filter.ValidateParameter(ctx, input, parameter)
	if err == nil {
		return nil
	}
	if violations := schemaErrors(err); len(violations) > 0 {
		return new(problemOf(violations[0]))
	}
	return new(problemOfType(schema, errors.Is(err, strconv.ErrRange)))
}

// queryValues returns the values of a query parameter. readable is false if one cannot be decoded;
// the library would silently drop it.
func queryValues(query, name string) (values []string, readable bool) {
	for pair := range strings.SplitSeq(query, "&") {
		key, value, _ := strings.Cut(pair, "=")
		if key, err := url.QueryUnescape(key); err != nil || key != name {
			continue
		}
		value, err := url.QueryUnescape(value)
		if err != nil || strings.Contains(pair, ";") {
			return nil, false
		}
		values = append(values, value)
	}
	return values, true
}

// readJSON reads a body that is one JSON object in UTF-8 without duplicate keys, of at most limit
// bytes.
func readJSON(c *gin.Context, required bool, limit int64) ([]byte, error) {
	if !required && c.Request.ContentLength <= 0 { // absent, or chunked and possibly empty
		content := bufio.NewReader(c.Request.Body)
		if _, err := content.Peek(1); errors.Is(err, io.EOF) {
			return nil, nil
		}
		c.Request.Body = io.NopCloser(content)
	}
	body, err := readAll(c, jsonType, jsonFormat, limit)
	if err != nil {
		return nil, err
	}
	if err := checkJSON(body); err != nil {
		return nil, err
	}
	return body, nil
}

// readForm reads a body that is a form, of at most limit bytes. Fields without a value count as
// absent (RFC 6749, 3.2).
func readForm(c *gin.Context, limit int64) (url.Values, error) {
	body, err := readAll(c, formType, formFormat, limit)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		// The error is not logged: it quotes the body.
		return nil, Reject(BodyMalformed, "Format", formFormat, "Problem", booking.ProblemBodyForm)
	}
	for name, values := range form {
		form[name] = slices.DeleteFunc(values, func(value string) bool { return value == "" })
		if len(form[name]) == 0 {
			delete(form, name)
		}
	}
	return form, nil
}

// The formats of bodies, in Russian, for body_malformed.
const (
	jsonFormat = "корректным объектом JSON"
	formFormat = "корректной формой " + formType
)

// readAll reads a body of the media type and in UTF-8, of at most limit bytes.
func readAll(c *gin.Context, expected, format string, limit int64) ([]byte, error) {
	if mediaType(c) != expected || c.GetHeader("Content-Encoding") != "" {
		return nil, Reject(MediaTypeUnsupported, "MediaType", expected+" без сжатия")
	}
	if c.Request.ContentLength > limit {
		return nil, rejectTooLarge(c, limit)
	}
	body, err := io.ReadAll(io.LimitReader(c.Request.Body, limit+1))
	switch {
	case err != nil:
		return nil, Reject(BodyMalformed, "Format", format, "Problem", booking.ProblemBodyCutOff).Because(err)
	case int64(len(body)) > limit:
		return nil, rejectTooLarge(c, limit)
	}
	return body, nil
}

// mediaType returns the media type of the body, or "" if it is malformed or not in UTF-8.
func mediaType(c *gin.Context) string {
	mediaType, params, err := mime.ParseMediaType(c.GetHeader("Content-Type"))
	charset, given := params["charset"]
	if err != nil || given && !strings.EqualFold(charset, "utf-8") {
		return ""
	}
	return mediaType
}

// Malformed rejects a body that is not the expected JSON.
func Malformed(problem string) *booking.Refusal {
	return Reject(BodyMalformed, "Format", jsonFormat, "Problem", problem)
}

// validateForm returns the invalid fields of a form, by name. Unknown fields are ignored (RFC 6749,
// 3.2).
func validateForm(c *gin.Context, schema *openapi3.Schema) []booking.FieldProblem {
	var invalid []booking.FieldProblem
	object := map[string]any{}
	for name := range schema.Properties {
		values := c.Request.PostForm[name]
		switch {
		case len(values) > 1:
			invalid = append(invalid, booking.FieldProblem{Name: name, Problem: booking.ProblemRepeated})
			fallthrough
		case len(values) == 1:
			object[name] = values[0]
			if !utf8.ValidString(values[0]) {
				invalid = append(invalid, booking.FieldProblem{Name: name, Problem: booking.ProblemCharacters})
			}
		}
	}
	options := slices.Clone(validation.SchemaValidationOptions)
	err := schema.VisitJSON(object, append(options, openapi3.MultiErrors(), openapi3.VisitAsRequest())...)
	return byName(append(invalid, invalidFields(err)...))
}

// rejectTooLarge reads the rest of a body that is not much too large, because a client that is
// still writing when the connection is closed may never see the response. A client that announces
// its body and waits for 100 Continue is not writing.
func rejectTooLarge(c *gin.Context, limit int64) error {
	size := c.Request.ContentLength
	if size <= limit+maxDiscarded && (size < 0 || c.GetHeader("Expect") == "") {
		_, _ = io.CopyN(io.Discard, c.Request.Body, maxDiscarded) // its error is that of the client's connection
	}
	c.Header("Connection", "close") // otherwise net/http would read more
	return Reject(BodyTooLarge, "Limit", strconv.FormatInt(limit, 10))
}

func checkJSON(body []byte) error {
	if len(bytes.TrimSpace(body)) == 0 {
		return Malformed(booking.ProblemBodyEmpty)
	}
	decoder := jsontext.NewDecoder(bytes.NewReader(body))
	value, err := decoder.ReadValue()
	if err == nil {
		kind := value.Kind()
		if _, err = decoder.ReadToken(); errors.Is(err, io.EOF) {
			if kind != '{' {
				return Malformed(booking.ProblemBodyNotObject)
			}
			return nil
		}
		return Malformed(booking.ProblemBodyTrailing)
	}
	var syntax *jsontext.SyntacticError
	if errors.As(err, &syntax) && errors.Is(err, jsontext.ErrDuplicateName) {
		return Malformed(booking.ProblemDuplicateKey(Shorten(syntax.JSONPointer.LastToken())))
	}
	return Malformed(booking.ProblemBodySyntax)
}

// Shorten limits the client's own text in a message to 50 characters.
func Shorten(text string) string {
	const most = 50
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}

// invalidFields returns the fields of the body that violate the contract, sorted by name and each
// with one problem, so that the response is deterministic.
func invalidFields(err error) []booking.FieldProblem {
	var invalid []booking.FieldProblem
	for _, violation := range schemaErrors(err) {
		for _, field := range fieldsOf(violation) {
			invalid = append(invalid, booking.FieldProblem{Name: Shorten(field), Problem: problemOf(violation)})
		}
	}
	return byName(invalid)
}

// byName returns the fields sorted by name, each with its first problem.
func byName(invalid []booking.FieldProblem) []booking.FieldProblem {
	slices.SortStableFunc(invalid, func(a, b booking.FieldProblem) int { return strings.Compare(a.Name, b.Name) })
	return slices.CompactFunc(invalid, func(a, b booking.FieldProblem) bool { return a.Name == b.Name })
}

func schemaErrors(err error) []*openapi3.SchemaError {
	var (
		several openapi3.MultiError
		request *openapi3filter.RequestError
		schema  *openapi3.SchemaError
	)
	switch {
	case errors.As(err, &several):
		var all []*openapi3.SchemaError
		for _, one := range several {
			all = append(all, schemaErrors(one)...)
		}
		return all
	case errors.As(err, &schema):
		return []*openapi3.SchemaError{schema}
	case errors.As(err, &request) && request.Err != nil:
		return schemaErrors(request.Err)
	default:
		return nil
	}
}

// fieldsOf returns the fields that a violation is about: one, or all unknown ones of an object.
func fieldsOf(violation *openapi3.SchemaError) []string {
	object, ok := violation.Value.(map[string]any)
	if !ok || violation.SchemaField != unknownKey {
		return []string{strings.Join(violation.JSONPointer(), ".")}
	}
	// The library names only the object.
	var unknown []string
	for key := range object {
		if violation.Schema.Properties[key] == nil {
			unknown = append(unknown, strings.Join(append(violation.JSONPointer(), key), "."))
		}
	}
	return unknown
}

// unknownKey is the schema field of a violation by an unknown key.
const unknownKey = "properties"

// problemOf returns what is wrong with a field's value.
func problemOf(violation *openapi3.SchemaError) booking.Problem {
	schema := violation.Schema
	switch violation.SchemaField {
	case "required":
		return booking.ProblemMissing
	case unknownKey:
		return booking.ProblemUnknown
	case "nullable":
		return booking.ProblemNull
	}
	switch schema.Format {
	case "uuid":
		return booking.ProblemNotGuid
	case "date":
		return booking.ProblemNotDay
	case "date-time":
		return booking.ProblemNotMoment
	}
	switch violation.SchemaField {
	case "minimum":
		return booking.ProblemBelow(*schema.Min)
	case "maximum":
		return booking.ProblemAbove(*schema.Max)
	case "minItems":
		return booking.ProblemEmpty
	case "minLength":
		if violation.Value == "" {
			return booking.ProblemEmpty
		}
		return booking.ProblemOther
	case "maxLength":
		return booking.ProblemTooLong(*schema.MaxLength)
	case "maxItems":
		return booking.ProblemTooMany(*schema.MaxItems)
	case "pattern":
		return booking.ProblemCharacters
	case "enum":
		return booking.ProblemNotOneOf(list(schema.Enum))
	case "type", "format":
		return problemOfType(schema, violation.SchemaField == "format")
	default:
		return booking.ProblemOther
	}
}

// problemOfType returns the problem of a value of another type, or of a number out of the range of
// its type.
func problemOfType(schema *openapi3.Schema, outOfRange bool) booking.Problem {
	switch {
	case schema.Type.Is("integer") && outOfRange:
		return booking.ProblemOutside(*schema.Min, *schema.Max)
	case schema.Type.Is("integer"):
		return booking.ProblemNotInteger
	case schema.Type.Is("boolean"):
		return booking.ProblemNotBoolean
	default:
		return booking.ProblemNotString
	}
}

// list joins values with commas.
func list(values []any) string {
	texts := make([]string, len(values))
	for i, value := range values {
		texts[i] = fmt.Sprint(value)
	}
	return strings.Join(texts, ", ")
}
