import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { createServer } from 'node:http';
import { after, afterEach, before, test } from 'node:test';
import {
  AbortError,
  cancelAppointment,
  checkAppointment,
  createAppointment,
  createTalon,
  getLiveness,
  listAppointments,
  listDirections,
  NetworkError,
  orThrow,
  TimeoutError,
  UnexpectedAnswerError,
} from 'talon-sdk';
import { startProxy } from './proxy.mjs';
import { direction, lpu, person, startTalon } from './service.mjs';

/**
 * The server of a master patient index (MIP). The service calls it for a patient who has no medical
 * card. At first it closes each connection. After `block` it delays its responses until `release`,
 * and then finds no person.
 */
const mip = {
  /** @type {(() => void)[] | undefined} The delayed responses; undefined to close connections. */
  waiting: undefined,
  onRequest: () => {},
  server: createServer((request, response) => {
    if (!mip.waiting) return response.destroy();
    const ticket = { access_token: 'ticket', token_type: 'Bearer', expires_in: 1 };
    const nobody = { resourceType: 'Bundle', type: 'searchset', total: 0 };
    const body = request.method === 'POST' ? ticket : nobody;
    mip.waiting.push(() => response.setHeader('Content-Type', 'application/json').end(JSON.stringify(body)));
    mip.onRequest();
  }),
  /** Delays the responses from now on. The promise resolves when the first request arrives. */
  block: () => {
    mip.waiting = [];
    return new Promise((resolve) => (mip.onRequest = () => resolve(undefined)));
  },
  /** Sends the delayed responses, and all later ones at once. */
  release: () => {
    for (const respond of mip.waiting ?? []) respond();
    mip.waiting = /** @type {any} */ ({ push: (/** @type {() => void} */ respond) => respond() });
  },
};

/** @type {Awaited<ReturnType<typeof startTalon>>} */
let service;
/** @type {Awaited<ReturnType<typeof startProxy>>} */
let proxy;
before(async () => {
  await new Promise((resolve) => mip.server.listen(0, '127.0.0.1', () => resolve(undefined)));
  const { port } = /** @type {import('node:net').AddressInfo} */ (mip.server.address());
  const mipUrl = `http://127.0.0.1:${port}`;
  const settings = {
    TALON_MIP_URL: mipUrl,
    TALON_MIP_AUTH_URL: `${mipUrl}/token`,
    TALON_MIP_CLIENT_ID: 'talon',
    TALON_MIP_CLIENT_SECRET: 'secret',
  };
  // Long timeouts: the index responds only when a test releases it, also on a slow machine.
  service = await startTalon({ ...settings, TALON_MIP_TIMEOUT: '30s', TALON_REQUEST_TIMEOUT: '1m' });
  proxy = await startProxy(service.baseUrl);
});
after(async () => {
  await proxy?.stop();
  await service?.stop();
  mip.server.close();
  mip.server.closeAllConnections();
});
afterEach(() => proxy.clear());

/** Creates a client that calls the service through the proxy, for a patient of the demo. */
async function talonOf(/** @type {number} */ patient) {
  const token = await service.tokenOf(person(patient));
  return createTalon({ baseUrl: proxy.baseUrl, token: () => token });
}

/** The request that books a cell of Б for a referral from А. */
const booking = (/** @type {number} */ patient, /** @type {number} */ referral, /** @type {number} */ slotId) => ({
  body: {
    DirectionGuid: direction(patient, referral),
    DirectionType: 'Consult',
    LpuFromGuid: lpu.А,
    LpuToGuid: lpu.Б,
    SlotId: slotId,
  },
});

/** The request that books a cell of Г for a patient who has no medical card there. */
const withoutCard = {
  body: {
    DirectionGuid: direction(10, 1),
    DirectionType: 'Consult',
    LpuFromGuid: lpu.В,
    LpuToGuid: lpu.Г,
    SlotId: 100801,
  },
};

/**
 * Books and then cancels. Returns the result of the booking and the appointments that it created.
 * @template T @param {(request: ReturnType<typeof booking>) => Promise<T>} book
 */
async function bookAndCancel(/** @type {number} */ patient, book) {
  const talon = await talonOf(patient);
  const result = await book(booking(patient, 1, 20815));
  proxy.faults.length = 0;
  const query = { directionGuid: direction(patient, 1), status: /** @type {['Booked']} */ (['Booked']) };
  const booked = orThrow(await listAppointments(talon, { query })).items;
  for (const { guid } of booked) orThrow(await cancelAppointment(talon, { path: { appointmentGuid: guid } }));
  return { result, booked };
}

for (const fault of /** @type {const} */ (['drop', 'truncate', 'stall'])) {
  test(`Promise: a booking whose response is lost (${fault}) is retried with its key and executed once`, async () => {
    const talon = await talonOf(3);
    proxy.faults.push(fault, 'refuse');
    // Only tryTimeout ends a try whose connection stays open. The other tries must be faster than
    // that, also on a slow machine.
    const { result, booked } = await bookAndCancel(3, (request) =>
      createAppointment(talon, request, { tryTimeout: 5_000 }),
    );
    assert.ok(result.ok && result.replayed);
    assert.deepEqual(
      booked.map(({ guid }) => guid),
      [result.data.consultDirection?.appointment.guid],
    );
    const [first, second, third] = proxy.requests.filter(
      ({ url, method }) => url === '/appointments' && method === 'POST',
    );
    assert.ok(first.key);
    assert.deepEqual([second.key, third.key], [first.key, first.key]);
    assert.deepEqual([first.status, second.status, third.status], [200, undefined, 200]);
  });
}

test('Promise: the error of a failed call has its key, and a new call with it returns the first response', async () => {
  const talon = await talonOf(4);
  proxy.faults.push('drop', 'refuse');
  const { result } = await bookAndCancel(4, async (request) => {
    const failure = await createAppointment(talon, request, { tries: 2 }).catch((error) => error);
    assert.ok(failure instanceof NetworkError);
    assert.equal(failure.tries, 2);
    assert.equal(failure.idempotencyKey, proxy.requests[0].key);
    return createAppointment(talon, request, { idempotencyKey: failure.idempotencyKey });
  });
  assert.ok(result.ok && result.replayed);
});

test('Promise: a read is retried when its response is lost; a request that could run twice is not', async () => {
  const talon = await talonOf(1);
  proxy.faults.push('refuse', 'truncate');
  orThrow(await listDirections(talon));
  assert.equal(proxy.requests.length, 3);
  proxy.clear();

  proxy.faults.push('refuse');
  await assert.rejects(
    checkAppointment(talon, booking(1, 1, 20815)),
    (error) => error instanceof NetworkError && error.tries === 1,
  );
  assert.equal(proxy.requests.length, 1);
});

test('Promise: the number of tries is limited', async () => {
  proxy.faults.push('refuse', 'refuse', 'refuse', 'refuse', 'refuse');
  await assert.rejects(
    getLiveness(await talonOf(1), {}, { tries: 3 }),
    (error) => error instanceof NetworkError && error.tries === 3,
  );
  assert.equal(proxy.requests.length, 3);
});

test('Promise: an unreachable service causes a NetworkError with its cause', async () => {
  const stopped = await startProxy(service.baseUrl);
  await stopped.stop();
  const talon = createTalon({ baseUrl: stopped.baseUrl, tries: 1 });
  await assert.rejects(
    getLiveness(talon),
    (error) => error instanceof NetworkError && error.cause instanceof TypeError,
  );
});

test('Promise: a 502 of a gateway is retried; a page of another server is not', async () => {
  const talon = await talonOf(1);
  proxy.faults.push('badGateway');
  orThrow(await listDirections(talon));
  assert.equal(proxy.requests.length, 2);
  proxy.clear();

  proxy.faults.push('badGateway');
  await assert.rejects(
    checkAppointment(talon, booking(1, 1, 20815)),
    (error) => error instanceof UnexpectedAnswerError && error.status === 502,
  );
  assert.equal(proxy.requests.length, 1);
  proxy.clear();

  proxy.faults.push('foreignPage');
  await assert.rejects(
    listDirections(talon),
    (error) => error instanceof UnexpectedAnswerError && error.status === 200,
  );
  assert.equal(proxy.requests.length, 1);
});

test('Promise: a refusal that a retry cannot change is returned at once', async () => {
  const talon = await talonOf(2);
  const full = await createAppointment(talon, booking(2, 1, 20914));
  assert.equal(full.ok || full.refusal.rule, 'direction_already_booked');
  // The rule is retryable, but only after the other visit: the service sends no Retry-After.
  const speciality = await createAppointment(talon, booking(2, 4, 20815));
  assert.equal(speciality.ok || speciality.refusal.rule, 'speciality_already_booked');
  assert.equal(proxy.requests.length, 2);
});

test('Promise: a key in use is not retried before the time in Retry-After', async () => {
  const { talon, key, first } = await keyInUse();
  const second = createAppointment(talon, withoutCard, key);
  await proxy.arrived(2);
  await proxy.requests[1].closed;
  mip.release();
  await first;
  const outcome = await second;
  assert.equal(outcome.ok || outcome.refusal.rule, 'mip_person_not_found');
  // On a slow machine the first request can last over a second: then the key is still in use.
  const later = proxy.requests.slice(1);
  assert.deepEqual(
    later.map(({ status }) => status),
    [...later.slice(1).map(() => 409), 500],
  );
  assert.ok(later.length > 1);
  later.slice(1).forEach(({ at }, place) => {
    const waited = at - later[place].at;
    assert.ok(waited >= 1_000, `retried after ${waited} ms`);
  });
});

test('Promise: a booking that is rejected because of too many requests is retried with its key', async () => {
  const outcome = await createAppointment(await talonOf(38), booking(38, 1, 10801), { tries: 2 });
  assert.ok(!outcome.ok && outcome.refusal.rule === 'too_many_requests');
  assert.equal(outcome.retryAfter, 1);
  const [first, second] = proxy.requests;
  assert.deepEqual([first.status, second.status, proxy.requests.length], [429, 429, 2]);
  assert.ok(first.key !== undefined && first.key === second.key);
  assert.ok(second.at - first.at >= 1_000);
});

test('Promise: a refusal is returned at once if Retry-After is longer than the remaining time', async () => {
  const { talon, key, first } = await keyInUse();
  const delayed = createTalon({ ...talon, fetch: async (request) => withRetryAfter(3_600, await fetch(request)) });
  const second = await createAppointment(delayed, withoutCard, key);
  assert.ok(!second.ok && second.refusal.rule === 'idempotency_key_in_use');
  assert.equal(second.retryAfter, 3_600);
  mip.release();
  await first;
  assert.equal(proxy.requests.length, 2);
});

test('Promise: a call ends at once when the caller aborts it, also while it waits for the next try', async () => {
  const { talon, key, first } = await keyInUse();
  const controller = new AbortController();
  const refused = createTalon({
    ...talon,
    // The call reads the response and then waits for an hour. The abort comes some turns of the
    // event loop later, during this wait.
    fetch: async (request) => {
      const response = await withRetryAfter(3_600, await fetch(request));
      turns(50).then(() => controller.abort(abortReason));
      return response;
    },
  });
  await assert.rejects(
    createAppointment(refused, withoutCard, { ...key, signal: controller.signal, timeout: Infinity }),
    isAbort,
  );
  mip.release();
  await first;
  assert.equal(proxy.requests.length, 2);
});

test('Promise: a try that exceeds its limit is repeated, and the limit of the call ends all tries', async () => {
  const talon = await talonOf(1);
  proxy.faults.push('hang');
  // The second try must be faster than this limit, also on a slow machine.
  orThrow(await listDirections(talon, {}, { tryTimeout: 5_000 }));
  assert.equal(proxy.requests.length, 2);
  await proxy.requests[0].closed;
  proxy.clear();

  proxy.faults.push('hang', 'hang', 'hang', 'hang');
  const started = performance.now();
  await assert.rejects(listDirections(talon, {}, { timeout: 1_000 }), TimeoutError);
  assert.ok(performance.now() - started < 15_000, 'earlier than the limit of a try');
  assert.equal(proxy.requests.length, 1);
  await proxy.requests[0].closed;
});

test('Promise: the time limits can be infinite', async () => {
  orThrow(await listDirections(await talonOf(1), {}, { timeout: Infinity, tryTimeout: Infinity }));
});

test('Promise: an abort ends a call at once: before it, during a try, or during a wait for the token', async () => {
  const talon = await talonOf(1);
  await assert.rejects(listDirections(talon, {}, { signal: AbortSignal.abort(abortReason) }), isAbort);
  assert.equal(proxy.requests.length, 0);

  const patient = createTalon({
    baseUrl: proxy.baseUrl,
    token: () => {
      queueMicrotask(() => inToken.abort(abortReason));
      return new Promise(() => {});
    },
  });
  const inToken = new AbortController();
  await assert.rejects(listDirections(patient, {}, { signal: inToken.signal }), isAbort);
  assert.equal(proxy.requests.length, 0);

  proxy.faults.push('hang');
  const inTry = new AbortController();
  const trying = listDirections(talon, {}, { signal: inTry.signal });
  await proxy.arrived(1);
  inTry.abort(abortReason);
  await assert.rejects(trying, isAbort);
  await proxy.requests[0].closed;
});

test('Promise: a call removes its listeners from the signal of the caller', async () => {
  const { signal } = new AbortController();
  const talon = await talonOf(1);
  proxy.faults.push('refuse');
  orThrow(await listDirections(talon, {}, { signal }));
  assert.equal(getEventListeners(signal, 'abort').length, 0);
});

test('Promise: the token provider is called for each request, and once more if the token has expired', async () => {
  const [fresh, old] = [await service.tokenOf(person(1)), await service.expiredTokenOf(person(1))];
  /** @type {(string | undefined)[]} */
  const calls = [];
  const talon = createTalon({
    baseUrl: proxy.baseUrl,
    token: async (expired) => {
      calls.push(expired);
      return calls.length === 1 ? old : fresh;
    },
  });
  orThrow(await listDirections(talon, {}, { tries: 1 }));
  orThrow(await listDirections(talon));
  assert.deepEqual(calls, [undefined, old, undefined]);
  assert.deepEqual(
    proxy.requests.map(({ status }) => status),
    [403, 200, 200],
  );
});

test('Promise: a booking keeps its key when its token has expired and is replaced', async () => {
  const [fresh, old] = [await service.tokenOf(person(3)), await service.expiredTokenOf(person(3))];
  const talon = createTalon({ baseUrl: proxy.baseUrl, token: (expired) => (expired ? fresh : old) });
  const { result } = await bookAndCancel(3, (request) => createAppointment(talon, request));
  assert.ok(result.ok && !result.replayed);
  assert.equal(proxy.requests[0].key, proxy.requests[1].key);
});

test('Promise: a provider without a new token causes the refusal, and the error of a provider is thrown', async () => {
  const old = await service.expiredTokenOf(person(1));
  const outcome = await listDirections(createTalon({ baseUrl: proxy.baseUrl, token: () => old }));
  assert.equal(outcome.ok || outcome.refusal.rule, 'token_expired');
  assert.equal(proxy.requests.length, 2);
  proxy.clear();

  const failure = new Error('the session is over');
  const rejecting = createTalon({ baseUrl: proxy.baseUrl, token: () => Promise.reject(failure) });
  await assert.rejects(listDirections(rejecting), (error) => error === failure);
  const throwing = createTalon({
    baseUrl: proxy.baseUrl,
    token: () => {
      throw failure;
    },
  });
  await assert.rejects(listDirections(throwing), (error) => error === failure);
  assert.equal(proxy.requests.length, 0);
});

test('Promise: a retryable failure is retried, also without Retry-After', async () => {
  mip.waiting = undefined;
  // Without keys: on a slow machine the service may release the key of a failed request too late.
  // Then it rejects the next try with idempotency_key_in_use.
  const keyless = await startProxy(service.baseUrl, { rewrite: (_, headers) => delete headers['idempotency-key'] });
  try {
    const outcome = await createAppointment(
      createTalon({ ...(await talonOf(10)), baseUrl: keyless.baseUrl }),
      withoutCard,
      { tries: 3 },
    );
    assert.ok(!outcome.ok && outcome.refusal.rule === 'mip_auth_url_unreachable');
    assert.equal(outcome.retryAfter, undefined);
    assert.deepEqual(
      keyless.requests.map(({ status }) => status),
      [500, 500, 500],
    );
  } finally {
    await keyless.stop();
  }
});

const abortReason = new Error('the page was left');
const isAbort = (/** @type {unknown} */ error) =>
  error instanceof AbortError && error.name === 'AbortError' && error.cause === abortReason;

/** Returns a copy of a response with another Retry-After in seconds. */
async function withRetryAfter(/** @type {number} */ seconds, /** @type {Response} */ response) {
  const changed = new Response(await response.text(), response);
  changed.headers.set('Retry-After', String(seconds));
  return changed;
}

/** Waits for the given number of turns of the event loop. */
async function turns(/** @type {number} */ count) {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** Returns a key that is in use: its first request waits until the index is released. */
async function keyInUse() {
  const talon = await talonOf(10);
  const key = { idempotencyKey: crypto.randomUUID() };
  const blocked = mip.block();
  const first = createAppointment(talon, withoutCard, key);
  await blocked;
  return { talon, key, first };
}
