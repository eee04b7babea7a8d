// Starts Swagger UI. It is a file of its own because the page's policy forbids inline scripts.

/**
 * Removes the examples of optional parameters from the document. "Try it out" sends every parameter
 * that has one, and no request needs all filters at once.
 */
function withoutOptionalExamples(document) {
  const resolve = (node) =>
    node.$ref ? resolve(node.$ref.slice('#/'.length).split('/').reduce((parent, key) => parent[key], document)) : node;
  const operations = Object.values(document.paths).flatMap((path) => Object.values(path));
  for (const parameter of operations.flatMap((operation) => operation.parameters ?? []).map(resolve)) {
    if (parameter.required) continue;
    parameter.schema = { ...resolve(parameter.schema) }; // a shared schema keeps its example
    delete parameter.example;
    delete parameter.schema.example;
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
    () => ({
      statePlugins: {
        spec: { wrapActions: { updateJsonSpec: (update) => (json) => update(withoutOptionalExamples(json)) } },
      },
    }),
  ],
});
