package main

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"text/template"

	"github.com/getkin/kin-openapi/openapi3"
)

// pagesFile returns an iterator for each operation with a cursor, over the items of all its pages.
func pagesFile(contract *openapi3.T) (string, error) {
	var page strings.Builder
	page.WriteString(generated + "package talon\n\nimport (\n\"context\"\n\"iter\"\n\n\"github.com/google/uuid\"\n\n" +
		"\"talon.example/sdk/go/v2/client\"\n)\n")
	for _, path := range slices.Sorted(maps.Keys(contract.Paths.Map())) {
		operation := contract.Paths.Value(path).Get
		if operation == nil || operation.Parameters.GetByInAndName(openapi3.ParameterInQuery, "cursor") == nil {
			continue
		}
		name := goName(operation.OperationID)
		content := operation.Responses.Status(http.StatusOK).Value.Content["application/json"]
		if content == nil {
			continue // a Bundle of FHIR
		}
		schema := content.Schema.Value
		items := schema.Properties["items"].Value.Items.Ref
		if items == "" {
			return "", fmt.Errorf("the items of %s need a schema of their own", operation.OperationID)
		}
		var declared, passed string
		for _, parameter := range operation.Parameters {
			if parameter.Value.In == openapi3.ParameterInPath {
				declared += ", " + parameter.Value.Name + " uuid.UUID"
				passed += ", " + parameter.Value.Name
			}
		}
		err := pageFunction.Execute(&page, map[string]string{
			"Operation": name, "Name": "All" + strings.TrimPrefix(name, "List"), "Item": items[strings.LastIndex(items, "/")+1:],
			"Declared": declared, "Passed": passed,
		})
		if err != nil {
			return "", err
		}
	}
	return page.String(), nil
}

var pageFunction = template.Must(template.New("page").Parse(`
// {{.Name}} returns an iterator over the items of {{.Operation}} on all pages, from
// params.Cursor. params may be nil. The iterator requests a page when the loop wants its first
// item, and keeps one page in memory. An error, such as a [*Refusal] or the cancellation of ctx,
// comes with an empty item and ends the loop.
func {{.Name}}(
	ctx context.Context, api *client.ClientWithResponses{{.Declared}}, params *client.{{.Operation}}Params,
) iter.Seq2[client.{{.Item}}, error] {
	var request client.{{.Operation}}Params
	if params != nil {
		request = *params
	}
	return allItems(request.Cursor, func(cursor *string) ([]client.{{.Item}}, *string, error) {
		request := request
		request.Cursor = cursor
		page, err := Answer(api.{{.Operation}}WithResponse(ctx{{.Passed}}, &request))
		if err != nil {
			return nil, nil, err
		}
		return page.Items, page.Next, nil
	})
}
`))
