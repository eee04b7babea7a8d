import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import {
  AbortError,
  cancelImport,
  clientCredentials,
  createTalon,
  finishImport,
  getSchedule,
  importFile,
  items,
  listImportErrors,
  NetworkError,
  orThrow,
  TimeoutError,
} from 'talon-sdk';
import { startProxy } from './proxy.mjs';
import { dayAhead, lpu, person, startTalon, systemClient } from './service.mjs';

/** @type {Awaited<ReturnType<typeof startTalon>>} */
let service;
/** @type {Awaited<ReturnType<typeof startProxy>>} */
let proxy;
/** @type {(expired?: string) => Promise<string>} */
let token;
before(async () => {
  service = await startTalon();
  proxy = await startProxy(service.baseUrl);
  token = clientCredentials({
    baseUrl: service.baseUrl,
    clientId: systemClient.guid,
    secret: systemClient.secret,
  });
});
after(async () => {
  await proxy?.stop();
  await service?.stop();
});
afterEach(() => proxy.clear());

/** Creates a client for the system of Б, through the proxy. */
const talonWith = (/** @type {Partial<import('talon-sdk').TalonOptions>} */ options = {}) =>
  createTalon({ baseUrl: proxy.baseUrl, token, ...options });

const resourceGuid = 'de300000-0004-4000-8000-000000000004';

/** Returns the period of a day that is the given number of days ahead. */
const period = (/** @type {number} */ days) => ({
  from: `${dayAhead(days)}T00:00:00+03:00`,
  to: `${dayAhead(days + 1)}T00:00:00+03:00`,
});

/** Returns a new cell of that day. */
const cell = (/** @type {number} */ days) => ({
  Guid: crypto.randomUUID(),
  Start: `${dayAhead(days)}T09:00:00+03:00`,
  End: `${dayAhead(days)}T09:15:00+03:00`,
  Capacity: 1,
  FlagAccess: 4,
  BusyType: 1,
});

/** Returns the message that replaces that day of the resource. */
const message = (/** @type {number} */ days, /** @type {object[]} */ Cells = [cell(days)], of = resourceGuid) => ({
  Method: 'PUT',
  Path: `/registry/lpus/${lpu.Б}/resources/${of}/schedule?${new URLSearchParams(period(days))}`,
  Body: { Version: Date.now(), Cells },
});

/** Returns the number of cells that the service has of that day. */
async function cellsOf(/** @type {number} */ days) {
  const request = { path: { lpuGuid: lpu.Б, resourceGuid }, query: period(days) };
  return orThrow(await getSchedule(createTalon({ baseUrl: service.baseUrl, token }), request)).cells.length;
}

/**
 * Sends a file and waits for its end.
 * @param {import('talon-sdk').ImportSource} source
 * @param {import('talon-sdk').ImportOptions} [options]
 */
async function run(source, options, talon = talonWith()) {
  const { guid } = orThrow(await importFile(talon, source, options));
  return orThrow(await finishImport(talon, guid));
}

/** Returns a line with one message, of 64 KiB. */
const wideLine = (/** @type {number} */ days) => `${JSON.stringify(message(days)).padEnd(65_535)}\n`;

/** How much of a file may be on its way between the source and the service. */
const window = 512 * 1024;

/**
 * Yields the parts of a file of 8 MiB. It yields a part only when all parts before the last
 * `window` bytes have arrived, and otherwise waits for ever.
 */
async function* windowed(/** @type {(days: number) => string} */ part) {
  for (let sent = 0, days = 100; days < 228; days++, sent += 65_536) {
    await proxy.received(sent - window);
    yield part(days);
  }
}

/** Returns a stream of the bytes of the parts, which has none of them in memory. */
function streamOf(/** @type {AsyncGenerator<string>} */ parts) {
  return new ReadableStream(
    {
      async pull(controller) {
        const { done, value } = await parts.next();
        if (done) controller.close();
        else controller.enqueue(Buffer.from(value));
      },
    },
    { highWaterMark: 0 },
  );
}

test('Promise: a file is sent while its source produces it, and is never in memory as a whole', async () => {
  const sources = {
    text: windowed(wideLine),
    stream: streamOf(windowed(wideLine)),
  };
  for (const source of Object.values(sources)) {
    proxy.clear();
    const state = await run(source);
    assert.equal(proxy.requests[0].received, 8 * 1024 * 1024);
    assert.equal(state.state, 'completed');
    assert.deepEqual(state.lines, { total: 128, done: 128, changed: 128, failed: 0 });
  }
});

test('Promise: strings, files, streams of Node and loops over messages are sources', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'talon-import-'));
  t.after(() => rm(folder, { recursive: true }));
  const path = join(folder, 'days.ndjson');
  const text = () => [50, 51].map((days) => `${JSON.stringify(message(days))}\n`).join('');
  const compression = /** @type {const} */ ('gzip');
  const sources = [
    text,
    () => new Blob([text()]),
    () => createReadStream(path),
    () => [message(50), message(51)],
    async function* () {
      for (const days of [50, 51]) yield message(days);
    },
  ];
  for (const options of [{}, { compression }])
    for (const source of sources) {
      await writeFile(path, text());
      const { lines, state } = await run(source(), options);
      assert.deepEqual([state, lines], ['completed', { total: 2, done: 2, changed: 2, failed: 0 }]);
      assert.equal(await cellsOf(50), 1);
    }
});

test('Promise: a compressed file is smaller on its way', async () => {
  await run([wideLine(52)], { compression: 'gzip' });
  assert.ok(proxy.requests[0].received < 2_000);
});

test('Promise: the rows of a CSV file are cells', async () => {
  const { Guid, Start, End } = cell(53);
  const rows = [
    ['LpuGuid,ResourceGuid,Guid,Start,End,Capacity,FlagAccess,BusyType\n'],
    [[lpu.Б, resourceGuid, Guid, Start, End, 1, 4, 1].join(), '\n'],
  ];
  const state = await run(rows.flat(), { format: 'csv', of: 'cells', version: Date.now() });
  assert.equal(state.cells.added, 1);
  assert.equal(await cellsOf(53), 1);
  const refused = await importFile(talonWith(), rows.flat(), { format: 'csv' });
  assert.ok(!refused.ok && refused.refusal.rule === 'field_invalid');
});

test('Promise: bad lines are listed on pages, and onError=reject applies nothing', async () => {
  const foreign = 'de300000-0004-4000-8000-000000009999';
  const talon = talonWith();
  for (const onError of /** @type {const} */ (['skip', 'reject'])) {
    const days = onError === 'skip' ? 54 : 55;
    const file = [message(days), 'nonsense\n', message(days, [], foreign), message(days, [], foreign)];
    const { guid, state, lines } = await run(file, { onError }, talon);
    assert.equal(state, onError === 'skip' ? 'completed' : 'rejected');
    assert.equal(lines.failed, 3);
    assert.equal(await cellsOf(days), onError === 'skip' ? 1 : 0);
    const bad = [];
    for await (const { line, error } of items(listImportErrors, talon, {
      path: { importGuid: guid },
      query: { limit: 1 },
    }))
      bad.push([line, error.rule]);
    assert.deepEqual(bad, [
      [2, 'body_malformed'],
      [3, 'resource_absent'],
      [4, 'resource_absent'],
    ]);
  }
});

test('Promise: a dry run counts and applies nothing', async () => {
  const { state, dryRun, cells } = await run([message(56)], { dryRun: true });
  assert.deepEqual([state, dryRun, cells.added], ['completed', true, 1]);
  assert.equal(await cellsOf(56), 0);
});

test('Promise: an upload has no time limit, while the service takes data', async () => {
  const limited = talonWith({ timeout: 5_000, tryTimeout: 5_000 });
  const state = await run(
    (async function* () {
      for (const days of [57, 58, 59]) {
        yield wideLine(days);
        await new Promise((resolve) => setTimeout(resolve, 2_000));
      }
    })(),
    {},
    limited,
  );
  assert.equal(state.lines.changed, 3);
});

test('Promise: an upload ends with a TimeoutError if the service takes no data or does not respond', async () => {
  const limited = talonWith({ tryTimeout: 1_000 });
  for (const length of [1, 1_000]) {
    proxy.faults.push('hang');
    const source = observed(Array.from({ length }, () => wideLine(60)));
    await assert.rejects(importFile(limited, source), TimeoutError);
    assert.equal(await source.closed, length === 1 ? 'exhausted' : 'closed');
  }
  assert.equal(proxy.requests.length, 2);
  assert.equal(await cellsOf(60), 0);
});

/** Returns a source of the parts, whose `closed` resolves when it was read to its end or closed. */
function observed(/** @type {Iterable<string>} */ parts) {
  let ended = (/** @type {string} */ _) => {};
  const closed = new Promise((resolve) => (ended = resolve));
  const source = (async function* () {
    let how = 'closed';
    try {
      yield* parts;
      how = 'exhausted';
    } finally {
      ended(how);
    }
  })();
  return Object.assign(source, { closed });
}

/** Yields a part of a file, and then waits until the signal aborts or for ever. */
async function* unfinished(/** @type {number} */ days, /** @type {AbortSignal} */ signal) {
  yield wideLine(days);
  if (!signal.aborted) await once(signal, 'abort');
}

test('Promise: an error of the source is thrown unchanged, and the part of the file is not applied', async () => {
  const failure = new Error('the database is closed');
  const failing = () =>
    (async function* () {
      yield wideLine(61);
      await proxy.received(65_536);
      throw failure;
    })();
  for (const source of [failing(), streamOf(failing())]) {
    proxy.clear();
    await assert.rejects(importFile(talonWith(), source), (error) => error === failure);
    await proxy.requests[0].closed;
    assert.equal(proxy.requests.length, 1);
  }
  assert.equal(await cellsOf(61), 0);
});

test('Promise: an abort ends the upload and its source at once, and nothing is applied', async () => {
  const controller = new AbortController();
  const source = unfinished(62, controller.signal);
  const uploading = importFile(talonWith(), source, { signal: controller.signal });
  await proxy.received(65_536);
  controller.abort();
  await assert.rejects(uploading, AbortError);
  await proxy.requests[0].closed;
  assert.deepEqual(await source.next(), { done: true, value: undefined });
  assert.equal(await cellsOf(62), 0);

  const before = observed([wideLine(62)]);
  await assert.rejects(importFile(talonWith(), before, { signal: AbortSignal.abort() }), AbortError);
  assert.equal(proxy.requests.length, 1);
});

test('Promise: a refusal during the upload is returned, closes the source, and is not retried', async () => {
  const patient = await service.tokenOf(person(1));
  const source = observed(Array.from({ length: 1_000 }, () => wideLine(63)));
  const outcome = await importFile(createTalon({ baseUrl: service.baseUrl, token: () => patient }), source);
  assert.ok(!outcome.ok && outcome.refusal.rule === 'token_invalid');
  assert.equal(await source.closed, 'closed');
});

test('Promise: an expired token is replaced if the file can be sent again, and its refusal returned otherwise', async () => {
  const old = await service.expiredTokenOf(person(1));
  const expiring = talonWith({ token: (expired) => (expired ? token() : old) });
  orThrow(await importFile(expiring, new Blob([wideLine(64)])));
  assert.deepEqual(
    proxy.requests.map(({ status }) => status),
    [403, 202],
  );
  const outcome = await importFile(expiring, [wideLine(64)]);
  assert.ok(!outcome.ok && outcome.refusal.rule === 'token_expired');
  assert.equal(proxy.requests.length, 3);
});

test('Promise: an eleventh unfinished import is refused, and the refusal of a stream is not retried', async () => {
  // Of the system of А, so that the unfinished imports do not limit the other tests.
  const clientId = 'de300000-0003-4000-8000-000000000011';
  const { baseUrl } = service;
  const talon = talonWith({ token: clientCredentials({ baseUrl, clientId, secret: systemClient.secret }) });
  const direct = createTalon({ ...talon, baseUrl });
  const controller = new AbortController();
  const { signal } = controller;
  const uploads = Array.from({ length: 10 }, () => importFile(direct, unfinished(65, signal), { signal }));
  for (;;) {
    proxy.clear();
    const outcome = await importFile(talon, [message(65)], { dryRun: true });
    if (outcome.ok) continue; // not all of the ten have begun
    assert.ok(outcome.refusal.rule === 'too_many_imports' && outcome.retryAfter);
    break;
  }
  assert.equal(proxy.requests.length, 1);
  controller.abort();
  for (const upload of uploads) await assert.rejects(upload, AbortError);
});

test('Promise: a cancelled import finishes, and an abort ends only the wait for an import', async () => {
  const talon = talonWith();
  const days = Array.from({ length: 200 }, (_, day) => message(300 + day));
  const many = (function* () {
    for (let version = 1; version <= 100; version++)
      for (const { Body, ...day } of days) yield { ...day, Body: { ...Body, Version: version } };
  })();
  const { guid } = orThrow(await importFile(talon, many, { compression: 'gzip' }));
  const controller = new AbortController();
  /** @type {import('talon-sdk').Import[]} */
  const states = [];
  const onProgress = (/** @type {import('talon-sdk').Import} */ state) => {
    states.push(state);
    controller.abort();
  };
  await assert.rejects(finishImport(talon, guid, { onProgress, signal: controller.signal }), AbortError);
  assert.equal(states.length, 1);
  assert.equal(states[0].finishedAt, null);

  orThrow(await cancelImport(talon, { path: { importGuid: guid } }));
  const { state, lines } = orThrow(await finishImport(talon, guid));
  assert.equal(state, 'cancelled');
  assert.ok(lines.done < lines.total);
  const absent = await finishImport(talon, crypto.randomUUID());
  assert.ok(!absent.ok && absent.refusal.rule === 'import_absent');
});

test('Promise: onProgress receives each state, and the last one is returned', async () => {
  const talon = talonWith();
  const { guid } = orThrow(await importFile(talon, [message(66)]));
  /** @type {import('talon-sdk').Import[]} */
  const states = [];
  const last = orThrow(await finishImport(talon, guid, { onProgress: (state) => states.push(state) }));
  assert.deepEqual(states.at(-1), last);
  assert.equal(states.filter(({ finishedAt }) => finishedAt !== null).length, 1);
});

test('Promise: where fetch cannot send streams, a file is sent as it is, and a stream throws', async (t) => {
  const { Request } = globalThis;
  t.after(() => Object.assign(globalThis, { Request }));
  class OldRequest extends Request {
    constructor(/** @type {string} */ url, /** @type {any} */ { body, method, headers, signal }) {
      super(url, { body: body instanceof ReadableStream ? String(body) : body, method, headers, signal });
    }
  }
  Object.assign(globalThis, { Request: OldRequest });
  const file = new Blob([`${JSON.stringify(message(67))}\n`]);
  assert.equal((await run(file, { compression: 'gzip' })).lines.changed, 1);
  const sent = proxy.requests.length;
  await assert.rejects(importFile(talonWith(), file.stream()), TypeError);
  assert.equal(proxy.requests.length, sent);
});

test('Promise: an unreachable service causes a NetworkError', async () => {
  const stopped = await startProxy(service.baseUrl);
  await stopped.stop();
  const source = observed([wideLine(68)]);
  await assert.rejects(importFile(talonWith({ baseUrl: stopped.baseUrl }), source), NetworkError);
});
