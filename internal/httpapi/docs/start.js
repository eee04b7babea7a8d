// Starts Swagger UI. It is a file of its own because the page's policy forbids inline scripts.

/**
 * Changes the examples of the document so that "Try it out" sends a request that makes sense. It
 * sends every parameter and every field of a form that has an example of its own, but no request
 * needs all filters, or all ways to authenticate, at once. Optional parameters lose their examples.
 * The fields of a form get theirs from the form's first example.
 */
function withSendableExamples(document) {
  const resolve = (node) =>
    node.$ref ? resolve(node.$ref.slice('#/'.length).split('/').reduce((parent, key) => parent[key], document)) : node;
  const operations = Object.values(document.paths).flatMap((path) => Object.values(path));
  for (const parameter of operations.flatMap((operation) => operation.parameters ?? []).map(resolve)) {
    if (parameter.required) continue;
    parameter.schema = { ...resolve(parameter.schema) }; // a shared schema keeps its example
    delete parameter.example;
    delete parameter.schema.example;
  }
  for (const { requestBody } of operations) {
    const form = requestBody?.content['application/x-www-form-urlencoded'];
    if (!form) continue;
    const { value } = Object.values(form.examples)[0];
    form.schema = structuredClone(resolve(form.schema)); // a shared schema keeps its examples
    for (const [name, field] of Object.entries(form.schema.properties)) field.example = value[name] ?? '';
  }
  return document;
}

const element = document.querySelector('#swagger-ui');
SwaggerUIBundle({
  domNode: element,
  url: '/openapi.yaml',
  deepLinking: true,
  // Only the sandbox lets the browser store tokens: they open no real patient's data.
  persistAuthorization: 'keepTokens' in element.dataset,
  displayRequestDuration: true,
  tryItOutEnabled: true,
  validatorUrl: null, // no outside service reads the document
  showCommonExtensions: true,
  defaultModelsExpandDepth: 0,
  defaultModelExpandDepth: 2,
  plugins: [
    ({ fn: { getSampleSchema } }) => ({
      statePlugins: {
        spec: { wrapActions: { updateJsonSpec: (update) => (json) => update(withSendableExamples(json)) } },
      },
      fn: {
        // Swagger UI takes NDJSON for JSON, and would show an example as a string in quotes.
        getSampleSchema: (schema, mediaType, ...rest) =>
          getSampleSchema(schema, mediaType === 'application/x-ndjson' ? 'text/plain' : mediaType, ...rest),
      },
    }),
  ],
});
