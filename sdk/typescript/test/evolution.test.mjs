// Tests with the responses of a service that is newer than the package: they have a rule, values and
// fields that its version of the contract does not have. A proxy writes them into real responses.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import * as sdk from 'talon-sdk';
import { startProxy } from './proxy.mjs';
import { direction, lpu, startTalon } from './service.mjs';

/** The values of this version, and what the newer service returns instead. */
const newer = {
  direction_already_booked: 'direction_suspended',
  slot_full: 'slot_reserved',
  NotBooked: 'Suspended',
  doctor: 'nurse',
  Validation: 'Warning',
};

/** @type {Awaited<ReturnType<typeof startTalon>>} */
let service;
/** @type {Awaited<ReturnType<typeof startProxy>>} */
let proxy;
/** @type {sdk.Talon} */
let talon;
before(async () => {
  service = await startTalon();
  const token = await service.tokenOf('de300000-0005-4000-8000-000000000002');
  proxy = await startProxy(service.baseUrl, {
    rewriteBody: (body) => JSON.stringify(JSON.parse(body, (_, value) => newValue(value))),
  });
  talon = sdk.createTalon({ baseUrl: proxy.baseUrl, token: () => token });
});
after(async () => {
  await proxy?.stop();
  await service?.stop();
});

/** Replaces the values, and adds a field to each object. */
function newValue(/** @type {any} */ value) {
  if (typeof value === 'string') return /** @type {Record<string, string>} */ (newer)[value] ?? value;
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return value;
  return { ...value, newField: { nested: true } };
}

test('Promise: a refusal by an unknown rule is a refusal, with its message and details', async () => {
  const outcome = await sdk.createAppointment(talon, {
    body: {
      DirectionGuid: direction(2, 1),
      DirectionType: 'Consult',
      LpuFromGuid: lpu.А,
      LpuToGuid: lpu.Б,
      SlotId: 20815,
    },
  });
  assert.ok(!outcome.ok);
  const refusal = /** @type {sdk.UnknownRefusal} */ (outcome.refusal);
  assert.deepEqual([refusal.rule, refusal.type], ['direction_suspended', 'Warning']);
  assert.equal(refusal.message, 'У выбранного направления уже есть запись на прием');
  assert.ok(!sdk.isKnownRule(refusal.rule));
  assert.equal(sdk.MENDERS[refusal.rule], undefined);
  assert.equal(refusal.details?.appointment?.lpuGuid, lpu.Б);
  assert.equal(proxy.requests.length, 1, 'it is not retried');
});

test('Promise: a list with unknown values and fields is read', async () => {
  const statuses = [];
  for await (const { status } of sdk.items(sdk.listDirections, talon, {})) statuses.push(status);
  assert.deepEqual(new Set(statuses), new Set(['Suspended', 'Booked']));

  const path = { directionGuid: direction(2, 2) };
  const { items } = sdk.orThrow(await sdk.listDirectionSlots(talon, { path, query: { limit: 1 } }));
  assert.equal(items[0].resource.kind, 'nurse');
  assert.deepEqual(/** @type {any} */ (items[0]).newField, { nested: true });
});

test('Promise: the known rules are those of the contract', () => {
  assert.ok(sdk.isKnownRule('slot_full'));
  for (const rule of ['slot_reserved', 'toString', '']) assert.ok(!sdk.isKnownRule(rule), rule);
});
