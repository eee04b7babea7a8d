// Tests the mock server for consumers: Prism returns every example of the contract by its name.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { parse } from 'yaml';
import { contractFile, startMock } from '../prism.mjs';

const contract = parse(await readFile(contractFile, 'utf8'));
let mock;
before(async () => (mock = await startMock()));
after(() => mock?.stop());

const operations = Object.entries(contract.paths).flatMap(([path, item]) =>
  Object.entries(item).map(([method, operation]) => ({ path, method, ...operation })),
);
let returned = 0;

for (const operation of operations) {
  test(operation.operationId, async (t) => {
    for (const [status, response] of Object.entries(operation.responses)) {
      const content = jsonOf(response);
      if (content === undefined) {
        await t.test(status, async () => {
          const received = await fetch(...request(operation, `code=${status}`));
          assert.equal(received.status, Number(status));
          assert.equal(await received.text(), '');
        });
        continue;
      }
      const examples = Object.entries(content.examples ?? {});
      assert.notEqual(examples.length, 0, `${status} has no example`);
      for (const [name, example] of examples) {
        await t.test(`${status} ${name}`, async () => {
          const received = await fetch(...request(operation, `code=${status}, example=${name}`));
          assert.equal(received.status, Number(status));
          assert.match(received.headers.get('Content-Type'), /^application\/(\w+\+)?json/);
          assert.deepEqual(await received.json(), resolve(example).value);
          returned++;
        });
      }
    }
  });
}

test('the mock returns every example by its name', (t) => {
  const all = operations.flatMap(({ responses }) =>
    Object.values(responses).flatMap((response) =>
      Object.keys(jsonOf(response)?.examples ?? {}),
    ),
  );
  assert.equal(returned, all.length);
  t.diagnostic(`${returned} examples of ${operations.length} operations returned by their names`);
});

/** Returns what the contract says of a response in JSON or a format that is JSON, or undefined. */
function jsonOf(response) {
  const types = Object.entries(resolve(response).content ?? {});
  return types.find(([type]) => /^application\/(\w+\+)?json$/.test(type))?.[1];
}

/** Returns a valid request from the contract's examples. Prism ignores `Prefer` in invalid ones. */
function request({ path, method, parameters = [], requestBody, security = contract.security }, prefer) {
  const url = new URL(path, mock.baseUrl);
  for (const { in: place, name, required, example } of parameters.map(resolve)) {
    if (!required) continue;
    assert.ok(example, `the parameter ${name} has an example`);
    if (place === 'path') url.pathname = decodeURI(url.pathname).replace(`{${name}}`, encodeURIComponent(example));
    if (place === 'query') url.searchParams.set(name, example);
  }
  const headers = { Prefer: prefer };
  const [scheme] = security.flatMap(Object.keys);
  const bearer = 'Bearer a-token';
  const credentials = { codToken: bearer, systemToken: bearer, clientSecret: `Basic ${btoa('guid:secret')}` };
  if (scheme) headers.Authorization = credentials[scheme];
  if (requestBody === undefined) return [url, { method, headers }];
  const [[mediaType, { examples }]] = Object.entries(resolve(requestBody).content);
  headers['Content-Type'] = mediaType;
  const { value } = resolve(Object.values(examples)[0]);
  const body = mediaType === 'application/json' ? JSON.stringify(value) : new URLSearchParams(value).toString();
  return [url, { method: method.toUpperCase(), headers, body }];
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
