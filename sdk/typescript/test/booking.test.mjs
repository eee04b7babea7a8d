import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import {
  cancelAppointment,
  checkAppointment,
  createAppointment,
  createTalon,
  getAppointment,
  getCodToken,
  getDirection,
  getDirectionByNumber,
  getLiveness,
  getReadiness,
  holdSlot,
  listAppointments,
  listDirections,
  listDirectionSlots,
  listRules,
  moveAppointment,
  orThrow,
  releaseSlot,
} from 'talon-sdk';
import { startProxy } from './proxy.mjs';
import { client, dayAhead, direction, lpu, person, startTalon } from './service.mjs';

/** @type {Awaited<ReturnType<typeof startTalon>>} */
let service;
before(async () => {
  service = await startTalon();
});
after(() => service?.stop());

/** Creates a client for a patient of the demo. */
async function talonOf(/** @type {number} */ patient) {
  const token = await service.tokenOf(person(patient));
  return createTalon({ baseUrl: service.baseUrl, token: () => token });
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

/**
 * Selects cells of Б from tomorrow. Other institutions of the legal entity have cells, too, and a
 * cell of today can start between the list and the booking.
 */
const ofB = { lpuGuid: lpu.Б, dateFrom: dayAhead(1) };

test('Promise: a referral is booked in a free cell, moved and cancelled', async () => {
  const talon = await talonOf(3);
  const path = { directionGuid: direction(3, 1) };
  const cells = orThrow(await listDirectionSlots(talon, { path, query: { ...ofB, limit: 2 } }));
  const [first, second] = cells.items;
  const booked = orThrow(
    await createAppointment(talon, {
      body: {
        DirectionGuid: cells.directionGuid,
        DirectionType: cells.directionType,
        LpuFromGuid: cells.holderLpuGuid,
        LpuToGuid: first.lpu.guid,
        SlotGuid: first.guid,
      },
    }),
  );
  const appointment = booked.consultDirection?.appointment;
  assert.equal(appointment?.start, first.start);

  const request = { path: { appointmentGuid: appointment.guid } };
  const moved = orThrow(await moveAppointment(talon, { ...request, body: { SlotGuid: second.guid } }));
  assert.equal(moved.consultDirection?.appointment.start, second.start);
  assert.equal(orThrow(await getDirection(talon, { path })).status, 'Booked');

  orThrow(await cancelAppointment(talon, { ...request, body: { ReasonCode: 6, Reason: 'Заболел' } }));
  const seen = orThrow(await getAppointment(talon, request));
  assert.deepEqual([seen.status, seen.start, seen.cancellation?.reason], ['Cancelled', second.start, 'Заболел']);
});

test('Promise: a repeated key returns the first response, marked as replayed', async () => {
  const talon = await talonOf(5);
  const key = { idempotencyKey: 'key-of-this-test' };
  const request = booking(5, 1, 20814);
  const first = await createAppointment(talon, request, key);
  const again = await createAppointment(talon, request, key);
  assert.ok(first.ok && again.ok);
  assert.deepEqual([first.replayed, again.replayed], [false, true]);
  assert.deepEqual(again.data, first.data);

  const another = await createAppointment(talon, booking(5, 2, 30801), key);
  assert.ok(!another.ok && another.refusal.rule === 'idempotency_key_reused');

  const path = { appointmentGuid: first.data.consultDirection?.appointment.guid ?? '' };
  const moves = [await moveAppointment(talon, { path, body: { SlotId: 20815 } }, { idempotencyKey: 'move' })];
  moves.push(await moveAppointment(talon, { path, body: { SlotId: 20815 } }, { idempotencyKey: 'move' }));
  assert.deepEqual(
    moves.map((each) => each.ok && each.replayed),
    [false, true],
  );
  const cancels = [
    await cancelAppointment(talon, { path }, { idempotencyKey: 'cancel' }),
    await cancelAppointment(talon, { path }, { idempotencyKey: 'cancel' }),
  ];
  assert.deepEqual(
    cancels.map((each) => each.ok && each.replayed),
    [false, true],
  );
});

test('Promise: each booking, move and cancel sends its own key, and no other operation sends one', async () => {
  const proxy = await startProxy(service.baseUrl);
  try {
    const token = await service.tokenOf(person(8));
    const talon = createTalon({ baseUrl: proxy.baseUrl, token: () => token });
    const path = { appointmentGuid: direction(8, 1) };
    await createAppointment(talon, booking(8, 1, 20801));
    await createAppointment(talon, booking(8, 1, 20801));
    await moveAppointment(talon, { path, body: { SlotId: 20802 } });
    await cancelAppointment(talon, { path });
    await checkAppointment(talon, booking(8, 1, 20801));
    await listDirections(talon);
    const keys = proxy.requests.map(({ key }) => key);
    assert.equal(new Set(keys.slice(0, 4)).size, 4);
    for (const key of keys.slice(0, 4)) assert.match(key ?? '', /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
    assert.deepEqual(keys.slice(4), [undefined, undefined]);
  } finally {
    await proxy.stop();
  }
});

test('Promise: keys are random also without randomUUID, which pages without TLS lack', async () => {
  Object.defineProperty(crypto, 'randomUUID', { value: undefined, configurable: true });
  const proxy = await startProxy(service.baseUrl);
  try {
    const talon = createTalon({ baseUrl: proxy.baseUrl });
    await createAppointment(talon, booking(8, 1, 20801));
    await createAppointment(talon, booking(8, 1, 20801));
    const [one, other] = proxy.requests.map(({ key }) => key);
    assert.match(one ?? '', /^[0-9a-f]{32}$/);
    assert.notEqual(one, other);
  } finally {
    await proxy.stop();
    Reflect.deleteProperty(crypto, 'randomUUID');
  }
  assert.equal(typeof crypto.randomUUID, 'function');
});

test('Promise: a refusal contains the existing appointment that prevents the booking', async () => {
  const talon = await talonOf(2);
  const booked = await createAppointment(talon, booking(2, 1, 20815));
  assert.ok(!booked.ok && booked.refusal.rule === 'direction_already_booked');
  assert.equal(booked.refusal.code, 400);
  assert.equal(booked.refusal.details?.appointment?.lpuGuid, lpu.Б);

  const speciality = await createAppointment(talon, booking(2, 4, 20815));
  assert.ok(!speciality.ok && speciality.refusal.rule === 'speciality_already_booked');
  assert.equal(speciality.refusal.details?.appointment?.guid, booked.refusal.details.appointment.guid);
});

test('Promise: a refusal contains the nearest free cells', async () => {
  const outcome = await createAppointment(await talonOf(4), booking(4, 1, 20914));
  assert.ok(!outcome.ok && outcome.refusal.rule === 'slot_full');
  const [nearest] = outcome.refusal.details?.slots ?? [];
  assert.equal(nearest.resource.specialityCode, '92');
});

test('Promise: of two concurrent bookings of a cell one succeeds, and the other receives free cells', async () => {
  const talons = [await talonOf(3), await talonOf(4)];
  const outcomes = await Promise.all([
    createAppointment(talons[0], booking(3, 2, 30802)),
    createAppointment(talons[1], booking(4, 2, 30802)),
  ]);
  const lost = outcomes.find((outcome) => !outcome.ok);
  assert.equal(outcomes.filter(({ ok }) => ok).length, 1);
  assert.ok(lost && !lost.ok && (lost.refusal.rule === 'slot_taken' || lost.refusal.rule === 'slot_full'));
  assert.ok(lost.refusal.details?.slots?.length);
});

test('Promise: a cell can be held and released, and a third hold is rejected with the current holds', async () => {
  const talon = await talonOf(4);
  const cells = orThrow(
    await listDirectionSlots(talon, { path: { directionGuid: direction(4, 1) }, query: { ...ofB, limit: 3 } }),
  );
  const body = { DirectionGuid: direction(4, 1), DirectionType: 'Consult', LpuFromGuid: lpu.А, LpuToGuid: lpu.Б };
  const holds = [];
  for (const cell of cells.items) holds.push(await holdSlot(talon, { path: { slotGuid: cell.guid }, body }));
  const [first, second, third] = holds;
  assert.ok(first.ok && second.ok && !third.ok && third.refusal.rule === 'too_many_holds');
  assert.deepEqual(
    third.refusal.details?.holds?.map(({ slotGuid }) => slotGuid),
    [first.data.slotGuid, second.data.slotGuid],
  );
  assert.ok(third.retryAfter && third.retryAfter > 30, 'the service says when the next hold ends');
  for (const { slotGuid } of [first.data, second.data])
    orThrow(await releaseSlot(talon, { path: { slotGuid }, query: { lpuGuid: lpu.Б } }));
  orThrow(await holdSlot(talon, { path: { slotGuid: cells.items[2].guid }, body }));
});

test('Promise: a check returns the result of each rule', async () => {
  const { allowed, checks } = orThrow(await checkAppointment(await talonOf(5), booking(5, 1, 20801)));
  assert.equal(allowed, false);
  assert.deepEqual(
    checks.filter(({ result }) => result === 'failed').map(({ rule }) => rule),
    ['slot_adults_only'],
  );
});

test('Promise: a client application gets a token for its patient, and a wrong secret is rejected', async () => {
  const talon = createTalon({ baseUrl: service.baseUrl, clientSecret: client });
  const { token, personGuid } = orThrow(await getCodToken(talon, { query: { personguid: person(1) } }));
  assert.equal(personGuid, person(1));
  orThrow(await listDirections(createTalon({ baseUrl: service.baseUrl, token: () => token })));

  const wrong = createTalon({ baseUrl: service.baseUrl, clientSecret: { ...client, secret: 'wrong' } });
  const refused = await getCodToken(wrong, { query: { personguid: person(1) } });
  assert.ok(!refused.ok && refused.refusal.rule === 'client_unauthenticated');
});

test('Promise: parameters of a path are encoded', async () => {
  const outcome = await getDirectionByNumber(await talonOf(1), { path: { number: '12/7?' } });
  assert.ok(!outcome.ok);
  assert.equal(outcome.refusal.rule, 'direction_absent');
});

test('Promise: the plus sign of a UTC offset in a query is encoded', async () => {
  const talon = await talonOf(5);
  const query = { updatedSince: '2019-08-21T08:45:00+03:00' };
  assert.ok(orThrow(await listAppointments(talon, { query })).items.length > 0);
});

test('Promise: health checks need no token', async () => {
  const talon = createTalon({ baseUrl: service.baseUrl, token: () => assert.fail('no token is needed') });
  assert.equal(orThrow(await getLiveness(talon)).status, 'ok');
  assert.equal(orThrow(await getReadiness(talon)).status, 'ok');
});

test('Promise: the list of rules and the package agree on which rules are retryable', async () => {
  const { RETRYABLE } = await import('../dist/gen/rules.gen.js');
  const rules = orThrow(await listRules(await talonOf(1))).items;
  assert.deepEqual(
    rules.filter(({ retryable }) => retryable).map(({ rule }) => rule),
    RETRYABLE,
  );
});

test('Promise: a custom fetch replaces the global one', async () => {
  /** @type {string[]} */
  const requested = [];
  const talon = createTalon({
    baseUrl: `${service.baseUrl}/`,
    fetch: (request) => {
      requested.push(`${request.method} ${new URL(request.url).pathname}`);
      return fetch(request);
    },
  });
  orThrow(await getLiveness(talon));
  assert.deepEqual(requested, ['GET /health/live']);
});
