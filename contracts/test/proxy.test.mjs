// Validates requests and responses of the real service against the contract, with Prism as a proxy.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startProxy, violationsOf } from '../prism.mjs';
import { reset, scenariosOf, startSandbox } from '../sandbox.mjs';
import { startTamperingProxy } from '../tampering-proxy.mjs';
import { ourPacts, summary, verify } from '../verify.mjs';

/** The scenarios whose requests violate the contract on purpose, with the reports of Prism. */
const invalid = {
  token_missing: ['Invalid security scheme used'],
  body_too_large: ['VisitComment must NOT have more than 1000 characters'],
  media_type_unsupported: ['Supported content types: application/json'],
  field_invalid: ['Difficulty must be >= 1'],
  // The body has a duplicate key, which Prism ignores, and lacks these fields.
  body_malformed: ['DirectionGuid', 'DirectionType', 'LpuFromGuid', 'LpuToGuid'].map(
    (name) => `must have required property '${name}'`,
  ),
  // Prism forwards requests to unknown paths and methods.
  route_not_found: ['Selected route not found'],
  method_not_allowed: ['Selected route not found'],
};

/**
 * The scenarios with another rule behind Prism. Prism parses and rewrites JSON, which removes the
 * duplicate key, so that the service rejects the rest of the body.
 */
const rewritten = { body_malformed: 'field_invalid' };

let sandbox;
let prism;
before(async () => {
  sandbox = await startSandbox();
  prism = await startProxy(sandbox.baseUrl);
});
after(async () => {
  await prism?.stop();
  await sandbox?.stop();
});

const send = ({ method, path, headers, body, rawBody }, baseUrl = prism.baseUrl) =>
  fetch(`${baseUrl}${path}`, { method, headers, body: body ? JSON.stringify(body) : (rawBody ?? undefined) });

test('every scenario conforms to the contract', async (t) => {
  const scenarios = await scenariosOf(sandbox.baseUrl);
  for (const { name, operation, status, rule, request } of scenarios) {
    await t.test(`${name} ${operation ?? ''}`, async () => {
      const response = await send(request);
      const violations = violationsOf(response);
      assert.deepEqual(violations.response, [], 'violations of the response');
      const expected = invalid[name] ?? [];
      assert.equal(violations.request.length, expected.length, `violations: ${violations.request.join('; ')}`);
      expected.forEach((text, index) => {
        assert.ok(violations.request[index].includes(text), `${violations.request[index]} contains ${text}`);
      });
      const { rule: actualRule } = await response.json();
      assert.deepEqual([response.status, actualRule], [status, rewritten[name] ?? rule ?? undefined]);
    });
  }
  const count = Object.keys(invalid).length;
  t.diagnostic(`${scenarios.length} scenarios through Prism, ${count} of them violate the contract on purpose`);
});

test('the expected violations name existing scenarios', async () => {
  const names = new Set((await scenariosOf(sandbox.baseUrl)).map(({ name }) => name));
  assert.deepEqual(
    [...Object.keys(invalid), ...Object.keys(rewritten)].filter((name) => !names.has(name)),
    [],
  );
});

// Prism silently checks nothing if it cannot compile a schema. These tests break requests and
// responses, and Prism must report them.
describe('violations are reported', () => {
  let change; // changes each response
  let tampering;
  let strict;
  let scenarios;
  before(async () => {
    await reset(sandbox.baseUrl);
    scenarios = (await scenariosOf(sandbox.baseUrl)).filter(({ operation }) => operation !== null);
    tampering = await startTamperingProxy(sandbox.baseUrl, (response) => change(response));
    strict = await startProxy(tampering.baseUrl);
  });
  after(async () => {
    await strict?.stop();
    await tampering?.stop();
  });
  const violations = async (request) => violationsOf(await send(request, strict.baseUrl));
  const ofScenario = (scenario) => violations(scenarios.find(({ name }) => name === scenario).request);

  test('a missing required field in the response of every scenario', async () => {
    change = ({ body }) => delete body[Object.keys(body)[0]];
    for (const { name, request } of scenarios)
      assert.match((await violations(request)).response.join(), /must have required property/, name);
  });
  test('a rule and a field of a newer version, which are no violations', async () => {
    change = ({ body }) => Object.assign(body, { rule: 'slot_busy', since: '2019-08-20T17:52:14+03:00' });
    assert.deepEqual((await ofScenario('slot_full')).response, []);
  });
  test('an unknown status', async () => {
    change = (response) => (response.status = 418);
    const { response } = await ofScenario('mkab_closed');
    assert.match(response.join(), /Unable to match the returned status code/);
  });
  test('a missing required header', async () => {
    change = ({ headers }) => delete headers['retry-after'];
    const { response } = await ofScenario('overloaded');
    assert.match(response.join(), /required property 'retry-after'/);
  });
  test('an unknown field in the request of every operation with a JSON body', async (t) => {
    change = () => {};
    const withBody = new Map(
      scenarios
        .filter(({ request }) => request.method === 'POST' && request.headers['Content-Type'] === 'application/json')
        .map((scenario) => [scenario.operation, scenario.request]),
    );
    withBody.set('cancelAppointment', { ...scenarios.find(({ name }) => name === 'cancelled').request });
    for (const [operation, { headers, ...request }] of withBody) {
      const invalid = {
        ...request,
        headers: { ...headers, 'Content-Type': 'application/json' },
        body: { Surplus: 1 },
      };
      assert.match(
        (await violations(invalid)).request.join(),
        /must NOT have additional properties; found 'Surplus'/,
        operation,
      );
    }
    t.diagnostic([...withBody.keys()].join(', '));
  });
});

test('the pacts conform to the contract', async (t) => {
  const violations = [];
  const observer = await startTamperingProxy(prism.baseUrl, ({ method, path, headers }) => {
    const { request, response } = violationsOf({ headers: new Headers(headers) });
    for (const violation of [...request, ...response]) violations.push(`${method} ${path}: ${violation}`);
  });
  try {
    const verification = await verify({
      sandbox: sandbox.baseUrl,
      provider: observer.baseUrl,
      pacts: await ourPacts(),
    });
    assert.deepEqual(verification.failures, []);
    assert.deepEqual(violations, []);
    t.diagnostic(`through Prism: ${summary(verification)}`);
  } finally {
    await observer.stop();
  }
});
