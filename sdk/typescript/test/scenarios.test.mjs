import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import * as sdk from 'talon-sdk';
import { parse } from 'yaml';
import { startTalon } from './service.mjs';

/**
 * Scenarios with requests that this package never sends: invalid bodies, and a token in a health
 * check, by which the sandbox selects the failure.
 */
const skipped = ['body_too_large', 'media_type_unsupported', 'body_malformed', 'not_ready'];

const contract = parse(await readFile(new URL('../../../openapi.yaml', import.meta.url), 'utf8'));

/** @type {Awaited<ReturnType<typeof startTalon>>} */
let service;
before(async () => {
  service = await startTalon();
});
after(() => service?.stop());

/** The media type of forms. */
const form = 'application/x-www-form-urlencoded';

/** Converts the request of a scenario into the request of an operation: path, query and body. */
function requestOf(/** @type {sdk.ScenarioCall} */ call, /** @type {string} */ operation) {
  const { method, path, headers, body, rawBody } = call;
  const [template] =
    Object.entries(contract.paths).find(([, item]) => item[method.toLowerCase()]?.operationId === operation) ?? [];
  assert.ok(template, operation);
  const { pathname, searchParams } = new URL(path, 'http://talon.example');
  const values = new RegExp(`^${template.replace(/\{(\w+)\}/g, '(?<$1>[^/]+)')}$`).exec(pathname)?.groups ?? {};
  const decoded = Object.entries(values).map(([name, value]) => [name, decodeURIComponent(value)]);
  return {
    path: Object.fromEntries(decoded),
    query: Object.fromEntries(searchParams),
    body: headers['Content-Type'] === form ? Object.fromEntries(new URLSearchParams(rawBody ?? '')) : (body ?? rawBody ?? undefined),
  };
}

test('Promise: each scenario of the sandbox returns the outcome that the contract documents', async (t) => {
  const { scenarios } = sdk.orThrow(await sdk.listScenarios(sdk.createTalon({ baseUrl: service.baseUrl })));
  const selected = scenarios.filter(({ operation, name }) => operation !== null && !skipped.includes(name));
  assert.ok(selected.length > 70);
  for (const { name, operation, status, rule, request } of selected) {
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
      const hasRetryAfter = [409, 429, 503].includes(status);
      assert.equal(outcome.retryAfter !== undefined, hasRetryAfter, `Retry-After: ${outcome.retryAfter}`);
    });
  }
});

test('Promise: a reset of the sandbox returns no data', async () => {
  const outcome = await sdk.resetSandbox(sdk.createTalon({ baseUrl: service.baseUrl }));
  assert.deepEqual(outcome, { ok: true, data: undefined, replayed: false });
});
