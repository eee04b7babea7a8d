// Writes src/gen from the contract. openapi-ts generates the types and the fetch client. This file
// generates the rules, the operations and the exported schemas, which openapi-ts does not know.
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createClient } from '@hey-api/openapi-ts';
import { parse } from 'yaml';

const contractFile = fileURLToPath(new URL('../../../openapi.yaml', import.meta.url));
const output = fileURLToPath(new URL('../src/gen', import.meta.url));

const contract = parse(await readFile(contractFile, 'utf8'));
const { Rule } = contract.components.schemas;

const input = withUnions(contract);
input.components.schemas.Unknown = { type: 'string' };
await createClient({
  input,
  output: { path: output, importFileExtension: '.js', entryFile: false },
  plugins: ['@hey-api/typescript', '@hey-api/client-fetch', { name: '@hey-api/sdk', client: false, comments: false }],
  logs: { level: 'warn' },
});

// Comments of openapi-ts link to package registries. Keep only the names of the packages.
for (const entry of await readdir(output, { recursive: true, withFileTypes: true })) {
  if (!entry.isFile()) continue;
  const file = join(entry.parentPath, entry.name);
  await writeFile(file, (await readFile(file, 'utf8')).replace(/\{@link https:\S+ (`[^`]+`)\}/g, '$1'));
}

// `Unknown` is a type that no schema describes.
const typesFile = join(output, 'types.gen.ts');
await writeFile(
  typesFile,
  (await readFile(typesFile, 'utf8')).replace(
    'export type Unknown = string;',
    "import type { Unknown } from '../unknown.js';",
  ),
);

const operations = Object.values(contract.paths).flatMap((item) =>
  Object.entries(item).map(([method, operation]) => ({ method, ...operation })),
);

await writeFile(`${output}/rules.gen.ts`, rulesFile());
await writeFile(`${output}/operations.gen.ts`, operationsFile());
await writeFile(`${output}/schemas.gen.ts`, schemasFile());

/**
 * Returns a copy of the contract for openapi-ts, which does not know `x-extensible-enum` and
 * `x-values-of`. It has a union of the known values and `Unknown` instead, or a reference to one.
 */
function withUnions(node) {
  if (Array.isArray(node)) return node.map(withUnions);
  if (node === null || typeof node !== 'object') return node;
  const copy = Object.fromEntries(Object.entries(node).map(([key, value]) => [key, withUnions(value)]));
  const { 'x-extensible-enum': values, 'x-values-of': schema, type, maxLength, ...rest } = copy;
  if (schema) return { ...rest, allOf: [reference(schema)] };
  if (values) return { ...rest, anyOf: [{ type, enum: values }, reference('Unknown')] };
  return copy;
}

function reference(schema) {
  return { $ref: `#/components/schemas/${schema}` };
}

/**
 * Returns the file with the fixed values of each rule and the rules of each operation. The named
 * examples of an operation's responses have the names of its rules.
 */
function rulesFile() {
  const answers = Rule['x-catalogue'].map(
    ({ rule, status, message_code, type }) => `  ${rule}: { code: ${status}; message_code: '${message_code}'; type: '${type}' };`,
  );
  const byOperation = operations.map(({ operationId, responses }) => {
    const rules = Object.entries(responses).flatMap(([status, response]) =>
      Number(status) < 400 ? [] : refusals(resolve(response)),
    );
    return `  ${operationId}:\n${Rule['x-extensible-enum']
      .filter((rule) => rules.includes(rule))
      .map((rule) => `    | '${rule}'`)
      .join('\n')};`;
  });
  return `// Written by npm run gen from openapi.yaml.
import type { Known } from '../unknown.js';
import type { Mender, Rule } from './types.gen.js';

/** The version of the contract and of this package. */
export const VERSION = '${contract.info.version}';

/** The rules whose refusals are temporary: the same request can succeed later. */
export const RETRYABLE: readonly string[] = [
${Rule['x-catalogue'].filter(({ retryable }) => retryable).map(({ rule }) => `  '${rule}',`).join('\n')}
];

/**
 * Who can fix the cause of each rule's refusal: the fallback of a switch that has no case for it. It
 * is undefined for an unknown rule.
 */
export const MENDERS: Readonly<Record<Known<Rule>, Known<Mender>> & Record<string, Known<Mender> | undefined>> = {
${Rule['x-catalogue'].map(({ rule, mender }) => `  ${rule}: '${mender}',`).join('\n')}
};

/** The fixed values of each rule's responses. */
export interface RuleAnswers {
${answers.join('\n')}
}

/** The rules that can reject each operation. */
export interface OperationRules {
${byOperation.join('\n')}
}
`;
}

/** Returns the file with one function for each operation, each around `call`. */
function operationsFile() {
  const functions = operations.map((operation) => {
    const { operationId } = operation;
    const parameters = (operation.parameters ?? []).map(resolve);
    const parts = ['path', 'query'].filter((place) => parameters.some((parameter) => parameter.in === place));
    if (operation.requestBody) parts.push('body');
    const required =
      parameters.some((parameter) => parameter.required) ||
      Boolean(operation.requestBody && resolve(operation.requestBody).required);
    const type = upperFirst(operationId);
    const request =
      parts.length === 0
        ? 'Record<never, never>'
        : `Pick<types.${type}Data, ${parts.map((part) => `'${part}'`).join(' | ')}>`;
    const result = `Promise<Outcome<types.${type}Response, '${operationId}'>>`;
    // openapi-ts would encode text as JSON.
    const sent = isText(operation) ? '{ ...request, bodySerializer: null }' : 'request';
    const calls = `call(talon, sdk.${operationId}, '${repetition(operation, parameters)}', ${sent}, options)`;
    return `/**
${doc(operation)}
 */
export const ${operationId} = (
  talon: Talon,
  request: ${request}${required ? '' : ' = {}'},
  options?: ${keyed(parameters) ? 'KeyedCallOptions' : 'CallOptions'},
): ${result} => ${calls};
`;
  });
  return `// Written by npm run gen from openapi.yaml.
import { call } from '../call.js';
import type { CallOptions, KeyedCallOptions, Outcome, Talon } from '../call.js';
import * as sdk from './sdk.gen.js';
import type * as types from './types.gen.js';

${functions.join('\n')}`;
}

/** Returns the file that exports the schemas of the contract. `Refusal` replaces `Error`. */
function schemasFile() {
  const names = Object.keys(contract.components.schemas).filter((name) => name !== 'Error');
  return `// Written by npm run gen from openapi.yaml.

export type {
${names.map((name) => `  ${name},`).join('\n')}
} from './types.gen.js';
`;
}

/** Returns whether a request can be sent again after its response was lost. */
function repetition({ method }, parameters) {
  if (keyed(parameters)) return 'keyed';
  return ['get', 'delete'].includes(method) ? 'safe' : 'unsafe';
}

/** Returns whether the body of a request is text that is sent as it is. */
function isText({ requestBody }) {
  const [media] = requestBody ? Object.values(resolve(requestBody).content) : [];
  return media !== undefined && resolve(media.schema).type === 'string';
}

function keyed(parameters) {
  return parameters.some((parameter) => parameter.name === 'Idempotency-Key');
}

function refusals(response) {
  const { examples } = response.content['application/json'];
  return Object.keys(examples);
}

function resolve(node) {
  if (!node.$ref) return node;
  return resolve(
    node.$ref
      .slice('#/'.length)
      .split('/')
      .reduce((parent, key) => parent[key], contract),
  );
}

function doc({ summary, description }) {
  return `${summary}\n\n${description.trim()}`
    .split('\n')
    .map((line) => ` * ${line.replaceAll('*/', '*\\/')}`.trimEnd())
    .join('\n');
}

function upperFirst(name) {
  return name[0].toUpperCase() + name.slice(1);
}
