import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import {
  cancelAppointment,
  clientCredentials,
  createAppointment,
  createTalon,
  followEvents,
  items,
  listDirections,
  listDirectionSlots,
  orThrow,
  RefusedError,
} from 'talon-sdk';
import { person, regionClient, startTalon } from './service.mjs';

/** @type {Awaited<ReturnType<typeof startTalon>>} */
let service;
before(async () => {
  service = await startTalon();
});
after(() => service?.stop());

/** Creates a client for the system of the region. */
const regionTalon = () => {
  const { baseUrl } = service;
  const token = clientCredentials({ baseUrl, clientId: regionClient.guid, secret: regionClient.secret });
  return createTalon({ baseUrl, token });
};

test('Promise: the feed is followed from a place on, waits for events, and goes on from its next place', async () => {
  const talon = regionTalon();
  const patient = createTalon({ baseUrl: service.baseUrl, token: () => service.tokenOf(person(3)) });
  const types = /** @type {const} */ (['appointment.booked', 'appointment.cancelled']);
  const first = await followEvents(talon, { after: 'latest', type: [...types] }).next();
  assert.deepEqual(first.value.items, []);

  const feed = followEvents(talon, { after: first.value.next, type: [...types] });
  const events = (async () => {
    const found = [];
    for await (const page of feed) {
      found.push(...page.items);
      if (found.length >= 2) return found;
    }
    return [];
  })();
  for await (const direction of items(listDirections, patient, { query: { status: ['NotBooked'] } })) {
    const path = { directionGuid: direction.guid };
    const [cell] = orThrow(await listDirectionSlots(patient, { path })).items;
    if (!cell || !direction.holderLpuGuid) continue;
    const body = {
      DirectionGuid: direction.guid,
      DirectionType: direction.type,
      LpuFromGuid: direction.holderLpuGuid,
      LpuToGuid: cell.lpu.guid,
      SlotGuid: cell.guid,
    };
    orThrow(await createAppointment(patient, { body }));
    break;
  }
  let appointmentGuid = '';
  for await (const page of followEvents(talon, { after: first.value.next, type: ['appointment.booked'] })) {
    appointmentGuid = page.items[0]?.data.appointmentGuid ?? '';
    if (appointmentGuid) break; // earlier pages have only events of the demo data, of other types
  }
  orThrow(await cancelAppointment(patient, { path: { appointmentGuid } }));
  assert.deepEqual(
    (await events).map(({ type, data }) => [type, data.appointmentGuid, data.version]),
    [
      ['appointment.booked', appointmentGuid, 1],
      ['appointment.cancelled', appointmentGuid, 2],
    ],
  );
});

test('Promise: a refusal of the feed is thrown', async () => {
  const after = btoa('{"at":0,"n":9007199254740991}').replace(/=+$/, '');
  await assert.rejects(followEvents(regionTalon(), { after }).next(), (error) => {
    assert.ok(error instanceof RefusedError);
    assert.equal(error.refusal.rule, 'events_expired');
    return true;
  });
});
