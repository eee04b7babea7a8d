import assert from 'node:assert/strict';
import { after, before, mock, test } from 'node:test';
import { clientCredentials, createTalon, getLpu, listDirections, orThrow, RefusedError } from 'talon-sdk';
import { lpu, startTalon, systemClient } from './service.mjs';

/** @type {Awaited<ReturnType<typeof startTalon>>} */
let service;
before(async () => {
  service = await startTalon({ TALON_AUTH_TOKEN_LIFE: '10m' });
});
after(() => service.stop());

/**
 * Returns the options of a provider of system tokens, and how many tokens it has requested.
 * @param {Partial<import('talon-sdk').ClientCredentials>} changes
 */
function provider(changes = {}) {
  const counted = { requests: 0 };
  const token = clientCredentials({
    baseUrl: service.baseUrl,
    clientId: systemClient.guid,
    secret: systemClient.secret,
    fetch: (request) => {
      counted.requests++;
      return fetch(request);
    },
    ...changes,
  });
  return { token, counted };
}

// Promise: a client application that acts for itself needs only its guid and secret. Concurrent
// calls share one token.
test('a client gets system tokens by itself', async () => {
  const { token, counted } = provider();
  const talon = createTalon({ baseUrl: service.baseUrl, token });
  const found = await Promise.all([1, 2, 3].map(() => getLpu(talon, { path: { lpuGuid: lpu.Б } })));
  for (const outcome of found) assert.equal(orThrow(outcome).guid, lpu.Б);
  assert.equal(counted.requests, 1);

  const foreign = await getLpu(talon, { path: { lpuGuid: lpu.А } });
  assert.equal(foreign.ok || foreign.refusal.rule, 'institution_foreign');
  const patients = await listDirections(talon, {});
  assert.equal(patients.ok || patients.refusal.rule, 'token_invalid');
  assert.equal(counted.requests, 1);
});

// Promise: a token is kept until shortly before it expires, and replaced at once if the service
// rejects it as expired.
test('a token is renewed in time', async (t) => {
  mock.timers.enable({ apis: ['Date'], now: Date.now() });
  t.after(() => mock.timers.reset());
  const { token, counted } = provider();
  const first = await token();
  mock.timers.tick(8 * 60_000);
  assert.equal(await token(), first);
  mock.timers.tick(61_000);
  const second = await token();
  assert.notEqual(second, first);
  assert.equal(await token('another token'), second);
  assert.equal(counted.requests, 2);
  const [third, same] = await Promise.all([token(second), token(second)]);
  assert.notEqual(third, second);
  assert.equal(same, third);
  assert.equal(counted.requests, 3);
});

// Promise: the scope limits the token. Rejected credentials and scopes are refusals, which the next
// call tries again.
test('scopes and refusals', async () => {
  const { token } = provider({ scope: 'visit:read' });
  const limited = await getLpu(createTalon({ baseUrl: service.baseUrl, token }), { path: { lpuGuid: lpu.Б } });
  assert.equal(limited.ok || limited.refusal.rule, 'scope_missing');

  const rejected = (/** @type {string} */ rule) => (/** @type {unknown} */ error) =>
    error instanceof RefusedError && error.refusal.rule === rule;
  await assert.rejects(provider({ scope: 'admin' }).token(), rejected('scope_invalid'));
  const { token: wrong, counted } = provider({ secret: 'wrong' });
  await assert.rejects(wrong(), rejected('client_unauthenticated'));
  await assert.rejects(getLpu(createTalon({ baseUrl: service.baseUrl, token: wrong }), { path: { lpuGuid: lpu.Б } }), rejected('client_unauthenticated'));
  assert.equal(counted.requests, 2);
});
