import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import * as sdk from 'talon-sdk';
import { parse } from 'yaml';
import { startTalon } from './service.mjs';

/** Answers to what this package never sends: bodies that are none, and a token for the health of the service, by which the sandbox knows whom to refuse. */
const unsent = ['body_too_large', 'media_type_unsupported', 'body_malformed', 'not_ready'];

const contract = parse(await readFile(new URL('../../../openapi.yaml', import.meta.url), 'utf8'));

/** @type {Awaited<ReturnType<typeof startTalon>>} */
let service;
before(async () => {
  service = await startTalon();
});
after(() => service?.stop());

/** What a request of the sandbox is to an operation: the parameters of its path and query, and its body. */
function requestOf(/** @type {sdk.ScenarioCall} */ { method, path, body }, /** @type {string} */ operation) {
  const [template] =
    Object.entries(contract.paths).find(([, item]) => item[method.toLowerCase()]?.operationId === operation) ?? [];
  assert.ok(template, operation);
  const { pathname, searchParams } = new URL(path, 'http://talon.example');
  const values = new RegExp(`^${template.replace(/\{(\w+)\}/g, '(?<$1>[^/]+)')}$`).exec(pathname)?.groups ?? {};
  const decoded = Object.entries(values).map(([name, value]) => [name, decodeURIComponent(value)]);
  return {
    path: Object.fromEntries(decoded),
    query: Object.fromEntries(searchParams),
    body: body === null ? undefined : JSON.parse(body),
  };
}

test('Promise: every answer that the sandbox can give comes as the contract names it', async (t) => {
  const { scenarios } = sdk.orThrow(await sdk.listScenarios(sdk.createTalon({ baseUrl: service.baseUrl })));
  const asked = scenarios.filter(({ operation, name }) => operation !== null && !unsent.includes(name));
  assert.ok(asked.length > 70);
  for (const { name, operation, status, rule, request } of asked) {
    await t.test(`${operation}: ${name}`, async () => {
      const [scheme, credentials = ''] = (request.headers.Authorization ?? '').split(' ');
      const [guid, secret] = scheme === 'Basic' ? atob(credentials).split(':') : [];
      const talon = sdk.createTalon({
        baseUrl: service.baseUrl,
        token: () => (scheme === 'Bearer' ? credentials : undefined),
        clientSecret: scheme === 'Basic' ? { guid, secret } : undefined,
      });
      const call = /** @type {Record<string, any>} */ (sdk)[operation ?? ''];
      const options = { tries: 1, idempotencyKey: request.headers['Idempotency-Key'] };
      /** @type {sdk.Outcome<unknown, sdk.Operation>} */
      const outcome = await call(talon, requestOf(request, operation ?? ''), options);
      if (status < 400) return assert.ok(outcome.ok);
      assert.ok(!outcome.ok);
      assert.deepEqual([outcome.refusal.rule, outcome.refusal.code], [rule, status]);
      const waits = [409, 429, 503].includes(status);
      assert.equal(outcome.retryAfter !== undefined, waits, `Retry-After: ${outcome.retryAfter}`);
    });
  }
});

test('Promise: the sandbox is put back, which answers nothing', async () => {
  const outcome = await sdk.resetSandbox(sdk.createTalon({ baseUrl: service.baseUrl }));
  assert.deepEqual(outcome, { ok: true, data: undefined, replayed: false });
});
