import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import * as sdk from 'talon-sdk';
import { parse } from 'yaml';
import { startProxy } from './proxy.mjs';
import { dayAhead, direction, person, regionClient, startTalon, systemClient } from './service.mjs';

const contract = parse(await readFile(new URL('../../../openapi.yaml', import.meta.url), 'utf8'));

/** The operations with a cursor, without the one whose pages are bundles of FHIR. */
const paged = Object.values(contract.paths)
  .flatMap((item) => Object.values(item))
  .filter(({ operationId }) => operationId !== 'exportAudit')
  .filter(({ parameters = [] }) => parameters.some(({ $ref = '' }) => $ref.endsWith('/Cursor')));

/** Institution Б, of the system client. */
const systemLpu = '4cb4f1c8-386d-410d-ac5d-fa232bd2afb9';
const systemWebhook = 'de300000-0010-4000-8000-000000000001';

/**
 * A request with several items for each operation that returns pages, and the size of a page.
 * @type {Record<string, any>}
 */
const lists = {
  listAudit: { query: { clientGuid: regionClient.guid, to: undefined, limit: 1 } },
  listDirections: { query: { limit: 3 } },
  listAppointments: { query: { limit: 1 } },
  listDeliveries: { path: { webhookGuid: systemWebhook }, query: { limit: 1 } },
  listDirectionInstitutions: { path: { directionGuid: direction(1, 5) }, query: { limit: 1 } },
  listDirectionSlots: {
    path: { directionGuid: direction(1, 2) },
    query: { limit: 3, dateFrom: dayAhead(1), dateTo: dayAhead(1) },
  },
  listImportErrors: { path: { importGuid: undefined }, query: { limit: 2 } },
  listResources: { path: { lpuGuid: systemLpu }, query: { limit: 3 } },
  listSources: { path: { lpuGuid: systemLpu }, query: { limit: 1 } },
  listVisits: { path: { lpuGuid: systemLpu }, query: { limit: 1 } },
  listWork: { path: { lpuGuid: systemLpu }, query: { limit: 1 } },
};

/** @type {Awaited<ReturnType<typeof startTalon>>} */
let service;
/** @type {Awaited<ReturnType<typeof startProxy>>} */
let proxy;
/** @type {() => Promise<string>} */
let systemToken;
/** @type {() => Promise<string>} */
let regionToken;
before(async () => {
  service = await startTalon();
  proxy = await startProxy(service.baseUrl);
  const { guid: clientId, secret } = systemClient;
  systemToken = sdk.clientCredentials({ baseUrl: service.baseUrl, clientId, secret });
  const system = sdk.createTalon({ baseUrl: service.baseUrl, token: systemToken });
  const { guid } = sdk.orThrow(await sdk.importFile(system, 'bad\nbad\nbad\n'));
  sdk.orThrow(await sdk.finishImport(system, guid));
  lists.listImportErrors.path.importGuid = guid;
  regionToken = sdk.clientCredentials({
    baseUrl: service.baseUrl, clientId: regionClient.guid, secret: regionClient.secret,
  });
  const region = sdk.createTalon({ baseUrl: service.baseUrl, token: regionToken });
  for (const number of [1, 2, 3]) sdk.orThrow(await sdk.getPerson(region, { path: { personGuid: person(number) } }));
  // Reading the records leaves records, too, so that without an end the list would grow.
  lists.listAudit.query.to = new Date().toISOString();
});
after(async () => {
  await proxy?.stop();
  await service?.stop();
});

/**
 * Creates a client for the first patient of the demo, by default through the proxy. `operation` may
 * be one that only systems may use: then it is a client for the system of Б, or for that of the region
 * if only it may.
 */
const talonVia = (/** @type {string} */ baseUrl = proxy.baseUrl, /** @type {string} */ operation = '') => {
  proxy.clear();
  const { security = [] } = paged.find(({ operationId }) => operationId === operation) ?? {};
  const forSystems = security.some((/** @type {object} */ scheme) => 'systemToken' in scheme);
  if (operation === 'listAudit') return sdk.createTalon({ baseUrl, token: regionToken });
  return sdk.createTalon({ baseUrl, token: forSystems ? systemToken : () => service.token });
};

/** Counts the items of a loop that must fail with an error of the class. */
async function countUntil(/** @type {AsyncIterable<unknown>} */ list, /** @type {new (...args: any) => Error} */ kind) {
  let count = 0;
  await assert.rejects(async () => {
    for await (const item of list) if (item) count++;
  }, kind);
  return count;
}

test('Promise: every operation with a cursor has pages that items reads', () => {
  assert.deepEqual(Object.keys(lists).sort(), paged.map(({ operationId }) => operationId).sort());
});

for (const [operation, request] of Object.entries(lists)) {
  const list = /** @type {any} */ (sdk)[operation];
  const { limit } = request.query;

  test(`Promise: items yields all items of ${operation} in their order, and requests each page once`, async () => {
    const talon = talonVia(proxy.baseUrl, operation);
    const expected = sdk.orThrow(await list(talon, { ...request, query: { ...request.query, limit: 100 } }));
    assert.equal(expected.next, null);
    assert.ok(expected.items.length > limit);
    proxy.clear();

    const all = [];
    for await (const item of sdk.items(list, talon, request)) all.push(item);
    assert.deepEqual(all, expected.items);
    assert.equal(proxy.requests.length, Math.ceil(expected.items.length / limit));
  });

  test(`Promise: items of ${operation} requests a page only when its first item is wanted`, async () => {
    const iterator = sdk.items(list, talonVia(proxy.baseUrl, operation), request);
    assert.equal(proxy.requests.length, 0);
    for (let item = 0; item < limit; item++) {
      await iterator.next();
      assert.equal(proxy.requests.length, 1);
    }
    await iterator.next();
    assert.equal(proxy.requests.length, 2);
    await iterator.return();
    assert.equal((await iterator.next()).done, true);
    assert.equal(proxy.requests.length, 2);
  });
}

test('Promise: items sends no request after a break', async () => {
  for await (const { status } of sdk.items(sdk.listDirections, talonVia(), {
    query: { limit: 3, status: ['NotBooked', 'Expired'] },
  })) {
    assert.ok(['NotBooked', 'Expired'].includes(status));
    break;
  }
  assert.equal(proxy.requests.length, 1);
});

test('Promise: items throws a refusal, with a message for the log and the refusal for the patient', async () => {
  const talon = sdk.createTalon({ baseUrl: service.baseUrl });
  await assert.rejects(sdk.items(sdk.listAppointments, talon, {}).next(), (error) => {
    assert.ok(error instanceof sdk.RefusedError);
    assert.equal(error.refusal.rule, 'token_missing');
    assert.equal(error.message, `token_missing, request ${error.refusal.request_id}`);
    return true;
  });
});

test('Promise: items stops with the error of a page, after the items of the pages before it', async () => {
  const list = sdk.items(sdk.listDirections, talonVia(), lists.listDirections);
  proxy.faults.push(undefined, 'foreignPage');
  assert.equal(await countUntil(list, sdk.UnexpectedAnswerError), 3);
  assert.equal((await list.next()).done, true);
  assert.equal(proxy.requests.length, 2);
});

test('Promise: the signal of items ends the loop before the next request, and during one', async () => {
  const between = new AbortController();
  const list = sdk.items(sdk.listDirections, talonVia(), lists.listDirections, { signal: between.signal });
  await list.next();
  between.abort();
  assert.equal(await countUntil(list, sdk.AbortError), 2);
  assert.equal(proxy.requests.length, 1);

  const during = new AbortController();
  const hanging = sdk.items(sdk.listDirections, talonVia(), lists.listDirections, { signal: during.signal });
  proxy.faults.push(undefined, 'hang');
  const counted = countUntil(hanging, sdk.AbortError);
  await proxy.arrived(2);
  during.abort();
  assert.equal(await counted, 3);
});

test('Promise: items does not read the same page for ever', async () => {
  const ignoring = await startProxy(service.baseUrl, { rewrite: (url) => url.searchParams.delete('cursor') });
  try {
    const list = sdk.items(sdk.listDirections, talonVia(ignoring.baseUrl), lists.listDirections);
    assert.equal(await countUntil(list, sdk.UnexpectedAnswerError), 3);
    assert.equal(ignoring.requests.length, 2);
  } finally {
    await ignoring.stop();
  }
});
