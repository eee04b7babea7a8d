// An independent word that requests and answers keep to the contract: Prism as a proxy in front of the real service, which holds each exchange against it.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startProxy, violationsOf } from '../prism.mjs';
import { startTampering } from '../proxy.mjs';
import { reset, scenariosOf, startSandbox } from '../sandbox.mjs';
import { ourPacts, summary, verify } from '../verify.mjs';

/** The scenarios whose requests break the contract, which is what they are for; with what Prism says of each. */
const broken = {
  token_missing: ['Invalid security scheme used'],
  body_too_large: ['VisitComment must NOT have more than 1000 characters'],
  media_type_unsupported: ['Supported content types: application/json'],
  field_invalid: ['Difficulty must be >= 1'],
  // Its key is given twice, which Prism does not see; it sees what is missing besides.
  body_malformed: ['DirectionGuid', 'DirectionType', 'LpuFromGuid', 'LpuToGuid'].map(
    (name) => `must have required property '${name}'`,
  ),
  // Prism hands on what it does not know, too.
  route_not_found: ['Selected route not found'],
  method_not_allowed: ['Selected route not found'],
};

/** Prism reads JSON and writes it anew: the key that was given twice arrives once, and the service answers what is wrong with the rest. */
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

const send = ({ method, path, headers, body }, baseUrl = prism.baseUrl) =>
  fetch(`${baseUrl}${path}`, { method, headers, body: body ?? undefined });

test('every scenario keeps to the contract', async (t) => {
  const scenarios = await scenariosOf(sandbox.baseUrl);
  for (const { name, operation, status, rule, request } of scenarios) {
    await t.test(`${name} ${operation ?? ''}`, async () => {
      const answer = await send(request);
      const { request: asked, response: answered } = violationsOf(answer);
      assert.deepEqual(answered, [], 'violations of the answer');
      const expected = broken[name] ?? [];
      assert.equal(asked.length, expected.length, `violations of the request: ${asked.join('; ')}`);
      expected.forEach((text, index) => assert.ok(asked[index].includes(text), `${asked[index]} says ${text}`));
      const { rule: answeredRule } = await answer.json();
      assert.deepEqual([answer.status, answeredRule], [status, rewritten[name] ?? rule ?? undefined]);
    });
  }
  t.diagnostic(
    `${scenarios.length} scenarios through Prism, ${Object.keys(broken).length} of them break the contract on purpose`,
  );
});

test('a scenario that is not of the list is noticed', async () => {
  const names = new Set((await scenariosOf(sandbox.baseUrl)).map(({ name }) => name));
  assert.deepEqual(
    [...Object.keys(broken), ...Object.keys(rewritten)].filter((name) => !names.has(name)),
    [],
  );
});

// Prism silently checks nothing where it cannot compile a schema: here it must find each request and each answer that is broken.
describe('what is broken is reported', () => {
  let change; // of the answers
  let tampering;
  let strict;
  let scenarios;
  before(async () => {
    await reset(sandbox.baseUrl);
    scenarios = (await scenariosOf(sandbox.baseUrl)).filter(({ operation }) => operation !== null);
    tampering = await startTampering(sandbox.baseUrl, (answer) => change(answer));
    strict = await startProxy(tampering.baseUrl);
  });
  after(async () => {
    await strict?.stop();
    await tampering?.stop();
  });
  const violations = async (request) => violationsOf(await send(request, strict.baseUrl));
  const ofScenario = (wanted) => violations(scenarios.find(({ name }) => name === wanted).request);

  test('a field that an answer must have, of every scenario', async () => {
    change = ({ body }) => delete body[Object.keys(body)[0]];
    for (const { name, request } of scenarios)
      assert.match((await violations(request)).response.join(), /must have required property/, name);
  });
  test('a rule that the contract does not know', async () => {
    change = ({ body }) => (body.rule = 'slot_busy');
    const { response } = await ofScenario('slot_full');
    assert.match(response.join(), /^body\.rule: .* must be equal to one of the allowed values/);
  });
  test('a status that the contract does not know', async () => {
    change = (answer) => (answer.status = 418);
    const { response } = await ofScenario('mkab_closed');
    assert.match(response.join(), /Unable to match the returned status code/);
  });
  test('a header that an answer must have', async () => {
    change = ({ headers }) => delete headers['retry-after'];
    const { response } = await ofScenario('overloaded');
    assert.match(response.join(), /required property 'retry-after'/);
  });
  test('a field that a request cannot have, of every operation with a body', async (t) => {
    change = () => {};
    const withBody = new Map(
      scenarios
        .filter(({ request }) => request.method === 'POST')
        .map((scenario) => [scenario.operation, scenario.request]),
    );
    withBody.set('cancelAppointment', { ...scenarios.find(({ name }) => name === 'cancelled').request });
    for (const [operation, { headers, ...request }] of withBody) {
      const broken = {
        ...request,
        headers: { ...headers, 'Content-Type': 'application/json' },
        body: '{"Surplus": 1}',
      };
      assert.match(
        (await violations(broken)).request.join(),
        /must NOT have additional properties; found 'Surplus'/,
        operation,
      );
    }
    t.diagnostic([...withBody.keys()].join(', '));
  });
});

test('the consumers keep to the contract, too', async (t) => {
  const violations = [];
  const tap = await startTampering(prism.baseUrl, ({ method, path, headers }) => {
    const { request, response } = violationsOf({ headers: new Headers(headers) });
    for (const violation of [...request, ...response]) violations.push(`${method} ${path}: ${violation}`);
  });
  try {
    const verification = await verify({ sandbox: sandbox.baseUrl, provider: tap.baseUrl, pacts: await ourPacts() });
    assert.deepEqual(verification.failures, []);
    assert.deepEqual(violations, []);
    t.diagnostic(`through Prism: ${summary(verification)}`);
  } finally {
    await tap.stop();
  }
});
