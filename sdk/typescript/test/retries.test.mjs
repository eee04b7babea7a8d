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
 * A master patient index (MIP) of which a booking without a card has to ask: it cannot be reached, or keeps the booking waiting until it is let go and
 * then knows nobody.
 */
const index = {
  /** @type {(() => void)[] | undefined} */
  waiting: undefined,
  asked: () => {},
  server: createServer((request, response) => {
    if (!index.waiting) return response.destroy();
    const ticket = { access_token: 'ticket', token_type: 'Bearer', expires_in: 1 };
    const nobody = { resourceType: 'Bundle', type: 'searchset', total: 0 };
    const answer = request.method === 'POST' ? ticket : nobody;
    index.waiting.push(() => response.setHeader('Content-Type', 'application/json').end(JSON.stringify(answer)));
    index.asked();
  }),
  /** From now on requests wait; comes when the first does. */
  hold: () => {
    index.waiting = [];
    return new Promise((resolve) => (index.asked = () => resolve(undefined)));
  },
  /** Lets those that wait go, and all that follow. */
  release: () => {
    for (const go of index.waiting ?? []) go();
    index.waiting = /** @type {any} */ ({ push: (/** @type {() => void} */ go) => go() });
  },
};

/** @type {Awaited<ReturnType<typeof startTalon>>} */
let service;
/** @type {Awaited<ReturnType<typeof startProxy>>} */
let proxy;
before(async () => {
  await new Promise((resolve) => index.server.listen(0, '127.0.0.1', () => resolve(undefined)));
  const { port } = /** @type {import('node:net').AddressInfo} */ (index.server.address());
  const mip = `http://127.0.0.1:${port}`;
  const settings = {
    TALON_MIP_URL: mip,
    TALON_MIP_AUTH_URL: `${mip}/token`,
    TALON_MIP_CLIENT_ID: 'talon',
    TALON_MIP_CLIENT_SECRET: 'secret',
  };
  // The index answers when a test releases it, however slow the machine is meanwhile.
  service = await startTalon({ ...settings, TALON_MIP_TIMEOUT: '30s', TALON_REQUEST_TIMEOUT: '1m' });
  proxy = await startProxy(service.baseUrl);
});
after(async () => {
  await proxy?.stop();
  await service?.stop();
  index.server.close();
  index.server.closeAllConnections();
});
afterEach(() => proxy.clear());

/** A Talon behind the proxy, for a patient of the demo. */
async function talonOf(/** @type {number} */ patient) {
  const token = await service.tokenOf(person(patient));
  return createTalon({ baseUrl: proxy.baseUrl, token: () => token });
}

/** What books a patient's referral from А in a cell of Б. */
const booking = (/** @type {number} */ patient, /** @type {number} */ referral, /** @type {number} */ slotId) => ({
  body: {
    DirectionGuid: direction(patient, referral),
    DirectionType: 'Consult',
    LpuFromGuid: lpu.А,
    LpuToGuid: lpu.Б,
    SlotId: slotId,
  },
});

/** What books a patient without a card in Г, which has to ask the master patient index. */
const withoutCard = {
  body: {
    DirectionGuid: direction(10, 1),
    DirectionType: 'Consult',
    LpuFromGuid: lpu.В,
    LpuToGuid: lpu.Г,
    SlotId: 100801,
  },
};

/** Books, and takes it back. @template T @param {(request: ReturnType<typeof booking>) => Promise<T>} book */
async function andCancel(/** @type {number} */ patient, book) {
  const talon = await talonOf(patient);
  const result = await book(booking(patient, 1, 20815));
  proxy.fates.length = 0;
  const query = { directionGuid: direction(patient, 1), status: /** @type {['Booked']} */ (['Booked']) };
  const booked = orThrow(await listAppointments(talon, { query })).items;
  for (const { guid } of booked) orThrow(await cancelAppointment(talon, { path: { appointmentGuid: guid } }));
  return { result, booked };
}

for (const fate of /** @type {const} */ (['lose', 'cut', 'keep'])) {
  test(`Promise: a booking whose answer is lost (${fate}) is asked for again with its key, and done once`, async () => {
    const talon = await talonOf(3);
    proxy.fates.push(fate, 'refuse');
    // Only tryTimeout ends a try whose connection stays open. The other tries must be answered within
    // it, on a slow machine, too.
    const { result, booked } = await andCancel(3, (request) =>
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

test('Promise: a call that fails in the end carries its key, and asking again with it settles what happened', async () => {
  const talon = await talonOf(4);
  proxy.fates.push('lose', 'refuse');
  const { result } = await andCancel(4, async (request) => {
    const failure = await createAppointment(talon, request, { tries: 2 }).catch((error) => error);
    assert.ok(failure instanceof NetworkError);
    assert.equal(failure.tries, 2);
    assert.equal(failure.idempotencyKey, proxy.requests[0].key);
    return createAppointment(talon, request, { idempotencyKey: failure.idempotencyKey });
  });
  assert.ok(result.ok && result.replayed);
});

test('Promise: a lost answer to what is read is asked for again; what could be done twice is not', async () => {
  const talon = await talonOf(1);
  proxy.fates.push('refuse', 'cut');
  orThrow(await listDirections(talon));
  assert.equal(proxy.requests.length, 3);
  proxy.clear();

  proxy.fates.push('refuse');
  await assert.rejects(
    checkAppointment(talon, booking(1, 1, 20815)),
    (error) => error instanceof NetworkError && error.tries === 1,
  );
  assert.equal(proxy.requests.length, 1);
});

test('Promise: tries are bounded', async () => {
  proxy.fates.push('refuse', 'refuse', 'refuse', 'refuse', 'refuse');
  await assert.rejects(
    getLiveness(await talonOf(1), {}, { tries: 3 }),
    (error) => error instanceof NetworkError && error.tries === 3,
  );
  assert.equal(proxy.requests.length, 3);
});

test('Promise: a service that cannot be reached is a NetworkError, with its cause', async () => {
  const nowhere = await startProxy(service.baseUrl);
  await nowhere.stop();
  const talon = createTalon({ baseUrl: nowhere.baseUrl, tries: 1 });
  await assert.rejects(
    getLiveness(talon),
    (error) => error instanceof NetworkError && error.cause instanceof TypeError,
  );
});

test('Promise: a gateway that does not reach the service is asked again; another page is not Talon, and not asked again', async () => {
  const talon = await talonOf(1);
  proxy.fates.push('page');
  orThrow(await listDirections(talon));
  assert.equal(proxy.requests.length, 2);
  proxy.clear();

  proxy.fates.push('page');
  await assert.rejects(
    checkAppointment(talon, booking(1, 1, 20815)),
    (error) => error instanceof UnexpectedAnswerError && error.status === 502,
  );
  assert.equal(proxy.requests.length, 1);
  proxy.clear();

  proxy.fates.push('portal');
  await assert.rejects(
    listDirections(talon),
    (error) => error instanceof UnexpectedAnswerError && error.status === 200,
  );
  assert.equal(proxy.requests.length, 1);
});

test('Promise: a refusal that no repetition can help is answered at once', async () => {
  const talon = await talonOf(2);
  const full = await createAppointment(talon, booking(2, 1, 20914));
  assert.equal(full.ok || full.refusal.rule, 'direction_already_booked');
  // Retryable by its rule, but not before the other visit is over: the service gives no Retry-After.
  const speciality = await createAppointment(talon, booking(2, 4, 20815));
  assert.equal(speciality.ok || speciality.refusal.rule, 'speciality_already_booked');
  assert.equal(proxy.requests.length, 2);
});

test('Promise: Retry-After is honoured: a key in use is asked for again no earlier', async () => {
  const { talon, key, answered } = await keyInUse();
  const second = createAppointment(talon, withoutCard, key);
  await proxy.arrived(2);
  await proxy.requests[1].closed;
  index.release();
  await answered;
  const outcome = await second;
  assert.equal(outcome.ok || outcome.refusal.rule, 'mip_person_not_found');
  // On a slow machine the first request may not have ended a second later: then the key is in use once more.
  const later = proxy.requests.slice(1);
  assert.deepEqual(
    later.map(({ status }) => status),
    [...later.slice(1).map(() => 409), 500],
  );
  assert.ok(later.length > 1);
  later.slice(1).forEach(({ at }, index) => {
    const waited = at - later[index].at;
    assert.ok(waited >= 1_000, `asked again after ${waited} ms`);
  });
});

test('Promise: where Retry-After is longer than the time that is left, the refusal is answered at once', async () => {
  const { talon, key, answered } = await keyInUse();
  const told = createTalon({ ...talon, fetch: async (request) => retryAfter(3_600, await fetch(request)) });
  const second = await createAppointment(told, withoutCard, key);
  assert.ok(!second.ok && second.refusal.rule === 'idempotency_key_in_use');
  assert.equal(second.retryAfter, 3_600);
  index.release();
  await answered;
  assert.equal(proxy.requests.length, 2);
});

test('Promise: the caller aborts a call at once, also while it waits to try again', async () => {
  const { talon, key, answered } = await keyInUse();
  const controller = new AbortController();
  const refused = createTalon({
    ...talon,
    // The whole answer is read before it is returned, so that the call waits some turns of the loop
    // later: for an hour, unless the abort ends the wait.
    fetch: async (request) => {
      const whole = await retryAfter(3_600, await fetch(request));
      turns(50).then(() => controller.abort(whyAborted));
      return whole;
    },
  });
  await assert.rejects(
    createAppointment(refused, withoutCard, { ...key, signal: controller.signal, timeout: Infinity }),
    isAbort,
  );
  index.release();
  await answered;
  assert.equal(proxy.requests.length, 2);
});

test('Promise: a try that takes too long is given up and made again; all of them end with the time of the call', async () => {
  const talon = await talonOf(1);
  proxy.fates.push('hang');
  // The second try must be answered within this, on a slow machine, too.
  orThrow(await listDirections(talon, {}, { tryTimeout: 5_000 }));
  assert.equal(proxy.requests.length, 2);
  await proxy.requests[0].closed;
  proxy.clear();

  proxy.fates.push('hang', 'hang', 'hang', 'hang');
  const begun = performance.now();
  await assert.rejects(listDirections(talon, {}, { timeout: 1_000 }), TimeoutError);
  assert.ok(performance.now() - begun < 15_000, 'before the time of a try');
  assert.equal(proxy.requests.length, 1);
  await proxy.requests[0].closed;
});

test('Promise: no time limit at all is possible', async () => {
  orThrow(await listDirections(await talonOf(1), {}, { timeout: Infinity, tryTimeout: Infinity }));
});

test('Promise: the caller aborts a call at once: before it, in a try, and while the token is awaited', async () => {
  const talon = await talonOf(1);
  await assert.rejects(listDirections(talon, {}, { signal: AbortSignal.abort(whyAborted) }), isAbort);
  assert.equal(proxy.requests.length, 0);

  const patient = createTalon({
    baseUrl: proxy.baseUrl,
    token: () => {
      queueMicrotask(() => inToken.abort(whyAborted));
      return new Promise(() => {});
    },
  });
  const inToken = new AbortController();
  await assert.rejects(listDirections(patient, {}, { signal: inToken.signal }), isAbort);
  assert.equal(proxy.requests.length, 0);

  proxy.fates.push('hang');
  const inTry = new AbortController();
  const trying = listDirections(talon, {}, { signal: inTry.signal });
  await proxy.arrived(1);
  inTry.abort(whyAborted);
  await assert.rejects(trying, isAbort);
  await proxy.requests[0].closed;
});

test('Promise: a call leaves nothing behind on the signal that it was given', async () => {
  const { signal } = new AbortController();
  const talon = await talonOf(1);
  proxy.fates.push('refuse');
  orThrow(await listDirections(talon, {}, { signal }));
  assert.equal(getEventListeners(signal, 'abort').length, 0);
});

test('Promise: the token is asked for with each request, and once more where it has expired', async () => {
  const [fresh, old] = [await service.tokenOf(person(1)), await service.expiredTokenOf(person(1))];
  /** @type {(string | undefined)[]} */
  const asked = [];
  const talon = createTalon({
    baseUrl: proxy.baseUrl,
    token: async (expired) => {
      asked.push(expired);
      return asked.length === 1 ? old : fresh;
    },
  });
  orThrow(await listDirections(talon, {}, { tries: 1 }));
  orThrow(await listDirections(talon));
  assert.deepEqual(asked, [undefined, old, undefined]);
  assert.deepEqual(
    proxy.requests.map(({ status }) => status),
    [403, 200, 200],
  );
});

test('Promise: a booking with an expired token keeps its key when it asks for another', async () => {
  const [fresh, old] = [await service.tokenOf(person(3)), await service.expiredTokenOf(person(3))];
  const talon = createTalon({ baseUrl: proxy.baseUrl, token: (expired) => (expired ? fresh : old) });
  const { result } = await andCancel(3, (request) => createAppointment(talon, request));
  assert.ok(result.ok && !result.replayed);
  assert.equal(proxy.requests[0].key, proxy.requests[1].key);
});

test('Promise: a provider that has no other token gets the refusal, and its own error comes through', async () => {
  const old = await service.expiredTokenOf(person(1));
  const outcome = await listDirections(createTalon({ baseUrl: proxy.baseUrl, token: () => old }));
  assert.equal(outcome.ok || outcome.refusal.rule, 'token_expired');
  assert.equal(proxy.requests.length, 2);
  proxy.clear();

  const lost = new Error('the session is over');
  const rejecting = createTalon({ baseUrl: proxy.baseUrl, token: () => Promise.reject(lost) });
  await assert.rejects(listDirections(rejecting), (error) => error === lost);
  const throwing = createTalon({
    baseUrl: proxy.baseUrl,
    token: () => {
      throw lost;
    },
  });
  await assert.rejects(listDirections(throwing), (error) => error === lost);
  assert.equal(proxy.requests.length, 0);
});

test('Promise: a retryable failure is tried again after a while, also without Retry-After', async () => {
  index.waiting = undefined;
  // On a slow machine the service may not give the key of a refused request back in time, and then
  // refuses the next try with idempotency_key_in_use.
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

const whyAborted = new Error('the page was left');
const isAbort = (/** @type {unknown} */ error) =>
  error instanceof AbortError && error.name === 'AbortError' && error.cause === whyAborted;

/** Returns a copy of a response, read to its end, with another Retry-After in seconds. */
async function retryAfter(/** @type {number} */ seconds, /** @type {Response} */ response) {
  const changed = new Response(await response.text(), response);
  changed.headers.set('Retry-After', String(seconds));
  return changed;
}

/** Lets the loop turn so often. */
async function turns(/** @type {number} */ count) {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** A key whose first request is kept waiting by the index until that is released. */
async function keyInUse() {
  const talon = await talonOf(10);
  const key = { idempotencyKey: crypto.randomUUID() };
  const held = index.hold();
  const answered = createAppointment(talon, withoutCard, key);
  await held;
  return { talon, key, answered };
}
