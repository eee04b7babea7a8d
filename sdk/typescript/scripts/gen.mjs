// Writes src/gen from the contract: types and fetch client by openapi-ts, and what no generator knows of ours, the rules, by the rest of this file.
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createClient } from '@hey-api/openapi-ts';
import { parse } from 'yaml';

const contractFile = fileURLToPath(new URL('../../../openapi.yaml', import.meta.url));
const output = fileURLToPath(new URL('../src/gen', import.meta.url));

await createClient({
  input: contractFile,
  output: { path: output, importFileExtension: '.js', entryFile: false },
  plugins: ['@hey-api/typescript', '@hey-api/client-fetch', { name: '@hey-api/sdk', client: false, comments: false }],
  logs: { level: 'warn' },
});

// The generator's comments send readers to package registries; the names of the packages stay.
for (const entry of await readdir(output, { recursive: true, withFileTypes: true })) {
  if (!entry.isFile()) continue;
  const file = join(entry.parentPath, entry.name);
  await writeFile(file, (await readFile(file, 'utf8')).replace(/\{@link https:\S+ (`[^`]+`)\}/g, '$1'));
}

const contract = parse(await readFile(contractFile, 'utf8'));
const { Rule } = contract.components.schemas;

const operations = Object.values(contract.paths).flatMap((item) =>
  Object.entries(item).map(([method, operation]) => ({ method, ...operation })),
);

await writeFile(`${output}/rules.gen.ts`, rulesFile());
await writeFile(`${output}/operations.gen.ts`, operationsFile());
await writeFile(`${output}/schemas.gen.ts`, schemasFile());

/** What the contract says of each rule, and of what each operation can answer: its named examples bear the rules' names. */
function rulesFile() {
  const answers = Rule.enum.map((rule) => {
    const example = contract.components.examples[rule]?.value;
    if (example?.rule !== rule) throw new Error(`no example is named ${rule}`);
    return `  ${rule}: { code: ${example.code}; message_code: '${example.message_code}'; type: '${example.type}' };`;
  });
  const byOperation = operations.map(({ operationId, responses }) => {
    const rules = Object.entries(responses).flatMap(([status, response]) =>
      Number(status) < 400 ? [] : refusals(resolve(response)),
    );
    return `  ${operationId}:\n${Rule.enum
      .filter((rule) => rules.includes(rule))
      .map((rule) => `    | '${rule}'`)
      .join('\n')};`;
  });
  return `// Written by npm run gen from openapi.yaml.

/** The contract's version, and so this package's. */
export const VERSION = '${contract.info.version}';

/** The rules where the same request may succeed later though nobody changes anything. */
export const RETRYABLE: readonly string[] = [
${Rule['x-retryable'].map((rule) => `  '${rule}',`).join('\n')}
];

/** What each rule answers, apart from its message. */
export interface RuleAnswers {
${answers.join('\n')}
}

/** The rules that each operation can answer. */
export interface OperationRules {
${byOperation.join('\n')}
}
`;
}

/** One function for each operation: the generated one, in the hands of `call`, typed by the rules that it can answer. */
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
    return `/**
${doc(operation)}
 */
export const ${operationId} = (
  talon: Talon,
  request: ${request}${required ? '' : ' = {}'},
  options?: ${keyed(parameters) ? 'KeyedCallOptions' : 'CallOptions'},
): Promise<Outcome<types.${type}Response, '${operationId}'>> => call(talon, sdk.${operationId}, '${repetition(operation, parameters)}', request, options);
`;
  });
  return `// Written by npm run gen from openapi.yaml.
import { call } from '../call.js';
import type { CallOptions, KeyedCallOptions, Outcome, Talon } from '../call.js';
import * as sdk from './sdk.gen.js';
import type * as types from './types.gen.js';

${functions.join('\n')}`;
}

/** The contract's schemas to import; `Error` is `Refusal` here. */
function schemasFile() {
  const names = Object.keys(contract.components.schemas).filter((name) => name !== 'Error');
  return `// Written by npm run gen from openapi.yaml.

export type {
${names.map((name) => `  ${name},`).join('\n')}
} from './types.gen.js';
`;
}

/** Whether an operation may be asked for again where its answer was lost. */
function repetition({ method }, parameters) {
  if (keyed(parameters)) return 'keyed';
  return ['get', 'delete'].includes(method) ? 'safe' : 'unsafe';
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
