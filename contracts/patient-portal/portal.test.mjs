// The portal's expectations of Talon. `npm run pacts` writes them to pacts/patient-portal-talon.json.
import assert from 'node:assert/strict';
import { createTalon } from 'talon-sdk';
import { book, booked, cancel, cells, giveBack, hold, move, referrals, ticket } from '../dist/patient-portal/portal.js';
import { M, key, pactOf, refusal, time, uuid } from '../pact.mjs';

const portal = pactOf('patient-portal');

/** The portal's Talon. Each call is tried once: how often the SDK tries is in its own tests. */
const talonAt = (baseUrl, fetch) => createTalon({ baseUrl, fetch, token: () => 'a-token', tries: 1 });

const lpuA = 'e66e8056-f0bd-4ec3-85f7-28ff5b22db4f';
const lpuB = '4cb4f1c8-386d-410d-ac5d-fa232bd2afb9';
const direction = (patient, number) =>
  `de300000-0007-4000-8000-${String(patient).padStart(4, '0')}${String(number).padStart(8, '0')}`;
const appointment = (number) => `de300000-000a-4000-8000-${String(number).padStart(12, '0')}`;
const slotGuid = (id) => `de300000-0009-4000-8000-${String(id).padStart(12, '0')}`;

/** A choice of the patient's, and the body that books it. */
const choose = (patient, number, id) => {
  const directionGuid = direction(patient, number);
  const choice = {
    directionGuid,
    directionType: 'Consult',
    holderLpuGuid: lpuA,
    lpuGuid: lpuB,
    slot: { id, guid: slotGuid(id) },
  };
  const referred = { DirectionGuid: directionGuid, DirectionType: 'Consult', LpuFromGuid: lpuA, LpuToGuid: lpuB };
  return { choice, referred, body: { ...referred, SlotId: id } };
};
const booking = (body) => ({ method: 'POST', path: '/appointments', headers: { 'Idempotency-Key': key }, body });

const resource = {
  guid: uuid(),
  kind: M.regex('^(doctor|room|equipment)$', 'doctor'),
  name: M.like('Врач Терапевт'),
  specialityCode: M.like('92'),
};
const nearest = { slots: M.eachLike({ id: M.integer(14527456), guid: uuid(), start: time(), end: time(), resource }) };
const existing = (guid) => ({ appointment: { guid, lpuGuid: lpuB, start: time(), end: time() } });
const sameStart = '2019-08-21T08:45:00+03:00';

portal(
  'directions',
  'the referrals to book by',
  { method: 'GET', path: '/directions', query: { status: 'NotBooked' } },
  {
    status: 200,
    body: {
      items: M.eachLike({
        guid: uuid(),
        type: M.regex('^(Consult|Laboratory)$', 'Consult'),
        number: M.like('47010157096'),
        status: 'NotBooked',
        dateEnd: time(),
        holderLpuGuid: uuid(),
        lpuTo: { guid: uuid(), name: M.like('Поликлиника Б') },
        speciality: { code: M.like('92'), name: M.like('Терапия') },
        appointment: null,
      }),
      next: null,
    },
  },
  async (baseUrl) => {
    const [first] = await referrals(talonAt(baseUrl));
    assert.deepEqual(first, {
      guid: uuid().value,
      number: '47010157096',
      speciality: 'Терапия',
      where: 'Поликлиника Б',
      validUntil: sameStart,
    });
  },
);

portal(
  'no_directions',
  'the referrals of a patient who has none',
  { method: 'GET', path: '/directions', query: { status: 'NotBooked' } },
  { status: 200, body: { items: [], next: null } },
  async (baseUrl) => assert.deepEqual(await referrals(talonAt(baseUrl)), []),
);

portal(
  'free_slots',
  'the free cells for a referral',
  { method: 'GET', path: `/directions/${direction(18, 2)}/slots` },
  {
    status: 200,
    body: {
      directionGuid: direction(18, 2),
      directionType: 'Consult',
      holderLpuGuid: lpuA,
      blockedBy: null,
      items: M.eachLike({
        id: M.integer(30002),
        guid: uuid(),
        start: time(),
        end: time(),
        lpu: { guid: lpuB, name: M.like('Поликлиника Б'), timeZone: 'Europe/Moscow' },
        resource,
        left: M.integer(1),
        restrictionText: M.like('Без ограничений'),
        status: 'Available',
        rule: null,
        message: null,
      }),
      nextAvailable: null,
    },
  },
  async (baseUrl) => {
    const days = await cells(talonAt(baseUrl), direction(18, 2));
    assert.deepEqual([...days.keys()], ['2019-08-21']);
    assert.equal(days.get('2019-08-21')[0].resource.name, 'Врач Терапевт');
  },
);

portal(
  'blocked_slots',
  'the free cells for a referral that is booked',
  { method: 'GET', path: `/directions/${direction(2, 1)}/slots` },
  {
    status: 200,
    body: {
      blockedBy: { rule: 'direction_already_booked', message: 'У выбранного направления уже есть запись на прием' },
      items: [],
      next: null,
    },
  },
  async (baseUrl) =>
    assert.deepEqual(await cells(talonAt(baseUrl), direction(2, 1)), {
      wayOut: 'read',
      message: 'У выбранного направления уже есть запись на прием',
    }),
);

{
  const { choice, referred } = choose(20, 2, 31204);
  portal(
    'held',
    'to hold a cell',
    { method: 'POST', path: `/slots/${choice.slot.guid}/hold`, body: referred },
    {
      status: 200,
      body: {
        slotGuid: choice.slot.guid,
        lpuToGuid: lpuB,
        directionGuid: choice.directionGuid,
        start: time(),
        end: time(),
        slotGuids: [choice.slot.guid],
        heldUntil: time(),
      },
    },
    async (baseUrl) => assert.equal(await hold(talonAt(baseUrl), choice), sameStart),
  );
}

{
  const { choice, referred } = choose(29, 2, 31203);
  const message =
    'Одновременно можно удерживать не более двух ячеек расписания. Запишитесь в одну из них или снимите удержание.';
  const held = {
    slotGuid: uuid(),
    lpuToGuid: lpuB,
    directionGuid: uuid(),
    start: time(),
    end: time(),
    slotGuids: M.eachLike(uuid()),
    heldUntil: time(),
  };
  const answer = refusal(409, 'Validation', '4091', 'too_many_holds', message, { holds: M.eachLike(held, 2) });
  portal(
    'too_many_holds',
    'to hold a third cell',
    { method: 'POST', path: `/slots/${choice.slot.guid}/hold`, body: referred },
    answer,
    async (baseUrl) => {
      const offer = await hold(talonAt(baseUrl), choice);
      assert.deepEqual([offer.wayOut, offer.message, offer.holds.length], ['give a cell back', message, 2]);
    },
  );
}

{
  const { choice } = choose(19, 2, 31204);
  portal(
    'released',
    'to give a cell back',
    { method: 'DELETE', path: `/slots/${choice.slot.guid}/hold`, query: { lpuGuid: lpuB } },
    { status: 200, body: { code: 200, message: 'Удержание ячейки снято', message_code: '2000' } },
    async (baseUrl) => assert.equal(await giveBack(talonAt(baseUrl), choice), 'Удержание ячейки снято'),
  );
}

{
  const { choice, body } = choose(19, 1, 11201);
  portal(
    'consult',
    'to book',
    booking(body),
    {
      status: 200,
      body: {
        type: 'Consult',
        consultDirection: {
          guid: choice.directionGuid,
          number: M.like('00000019001'),
          lpuFromGuid: lpuA,
          lpuToGuid: lpuB,
          appointment: { guid: uuid(), start: time(), end: time(), createTime: time() },
        },
        laboratoryDirection: null,
      },
    },
    async (baseUrl) => assert.equal((await book(talonAt(baseUrl), choice)).start, sameStart),
  );
}

{
  const { choice, body } = choose(2, 1, 20815);
  const message = 'У выбранного направления уже есть запись на прием';
  portal(
    'direction_already_booked',
    'to book by a referral that is booked',
    booking(body),
    refusal(400, 'Validation', '4000', 'direction_already_booked', message, existing(appointment(2))),
    async (baseUrl) => {
      const offer = await book(talonAt(baseUrl), choice);
      assert.deepEqual(
        [offer.wayOut, offer.message, offer.appointment.guid],
        ['see the appointment', message, appointment(2)],
      );
    },
  );
}

{
  const { choice, body } = choose(2, 4, 20815);
  // The message names the visit, whose time is relative to now.
  const message = M.regex(
    '^Вы уже записаны .+ на \\d{2}\\.\\d{2}\\.\\d{4} \\d{2}:\\d{2}\\. Запрещено иметь более одной активной записи на прием на одну специальность\\.$',
    'Вы уже записаны Врач Терапевт на 21.08.2019 08:45. Запрещено иметь более одной активной записи на прием на одну специальность.',
  );
  portal(
    'speciality_already_booked',
    'to book a second visit in a speciality',
    booking(body),
    refusal(400, 'Validation', '4008', 'speciality_already_booked', message, existing(appointment(2))),
    async (baseUrl) => assert.equal((await book(talonAt(baseUrl), choice)).wayOut, 'see the appointment'),
  );
}

for (const [rule, messageCode, message, patient, slot] of [
  ['slot_full', '4000', 'Выбранная ячейка расписания уже занята.', 18, 20914],
  ['slot_taken', '4009', 'Это время уже занято. Выберите другое свободное время приема.', 25, 11205],
]) {
  const { choice, body } = choose(patient, 1, slot);
  portal(
    rule,
    'to book a cell that somebody else has',
    booking(body),
    refusal(400, 'Validation', messageCode, rule, message, nearest),
    async (baseUrl) => {
      const offer = await book(talonAt(baseUrl), choice);
      assert.deepEqual([offer.wayOut, offer.message, offer.cells[0].id], ['choose another cell', message, 14527456]);
    },
  );
}

{
  const { choice, body } = choose(18, 1, 20815);
  portal(
    'token_expired',
    'to book with a token that has expired',
    booking(body),
    refusal(403, 'Error', '5007', 'token_expired', 'Время действия токена истекло'),
    async (baseUrl) => assert.deepEqual(await book(talonAt(baseUrl), choice), { wayOut: 'sign in' }),
  );
}

{
  const { choice, body } = choose(33, 1, 20815);
  const message = 'Сервис перегружен. Повторите попытку позже.';
  const answer = {
    ...refusal(503, 'Error', '5030', 'overloaded', message),
    headers: { 'Retry-After': M.regex('^[1-9]\\d*$', '1') },
  };
  portal('overloaded', 'to book while the service has too much to do', booking(body), answer, async (baseUrl) =>
    assert.deepEqual(await book(talonAt(baseUrl), choice), { wayOut: 'try later', message, seconds: 1 }),
  );
}

const whatHappened = (directionGuid) => ({
  method: 'GET',
  path: '/appointments',
  query: { directionGuid, status: 'Booked' },
});

/** Loses the answer to a booking on its way. */
const losesBookings = (request) =>
  request.method === 'POST' ? Promise.reject(new TypeError('connection lost')) : fetch(request);

{
  const { choice } = choose(2, 1, 20914);
  portal(
    'direction_already_booked',
    'what has become of a booking whose answer was lost',
    whatHappened(choice.directionGuid),
    {
      status: 200,
      body: {
        items: [
          {
            guid: appointment(2),
            status: 'Booked',
            start: time(),
            end: time(),
            direction: { guid: choice.directionGuid },
          },
        ],
        next: null,
      },
    },
    async (baseUrl) => assert.equal((await book(talonAt(baseUrl, losesBookings), choice)).guid, appointment(2)),
  );
}

{
  const { choice } = choose(18, 1, 20815);
  portal(
    'no_appointments',
    'what has become of a booking that did not arrive',
    whatHappened(choice.directionGuid),
    { status: 200, body: { items: [], next: null } },
    async (baseUrl) => {
      assert.equal(await book(talonAt(baseUrl, losesBookings), choice), undefined);
      assert.equal(await booked(talonAt(baseUrl), choice.directionGuid), undefined);
    },
  );
}

portal(
  'booked',
  'one appointment',
  { method: 'GET', path: `/appointments/${appointment(2)}` },
  {
    status: 200,
    headers: { ETag: M.regex('^"[0-9A-Za-z_-]{22}"$', '"abcdefghijklmnopqrstuv"') },
    body: {
      guid: appointment(2),
      status: 'Booked',
      start: time(),
      end: time(),
      lpu: { guid: lpuB, name: M.like('Поликлиника Б'), timeZone: 'Europe/Moscow' },
      resource,
      direction: { guid: direction(2, 1), number: M.like('00000002001'), type: 'Consult' },
      cancellation: null,
    },
  },
  async (baseUrl) =>
    assert.deepEqual(await ticket(talonAt(baseUrl), appointment(2)), {
      start: sameStart,
      timeZone: 'Europe/Moscow',
      where: 'Поликлиника Б',
      to: 'Врач Терапевт',
      number: '00000002001',
    }),
);

portal(
  'appointment_absent',
  'an appointment that there is not',
  { method: 'GET', path: `/appointments/${appointment(0)}` },
  refusal(404, 'Error', '4042', 'appointment_absent', 'Запись на прием не найдена'),
  async (baseUrl) =>
    assert.equal((await ticket(talonAt(baseUrl), appointment(0))).message, 'Запись на прием не найдена'),
);

portal(
  'moved',
  'to move an appointment',
  {
    method: 'POST',
    path: `/appointments/${appointment(5)}/move`,
    headers: { 'Idempotency-Key': key },
    body: { SlotId: 11204 },
  },
  {
    status: 200,
    body: {
      type: 'Consult',
      consultDirection: {
        guid: direction(20, 1),
        lpuToGuid: lpuB,
        appointment: { guid: appointment(5), start: time(), end: time() },
      },
      laboratoryDirection: null,
    },
  },
  async (baseUrl) => assert.equal((await move(talonAt(baseUrl), appointment(5), 11204)).guid, appointment(5)),
);

{
  const message = 'Запись на прием отменена, перенести ее нельзя.';
  portal(
    'appointment_cancelled',
    'to move an appointment that is cancelled',
    {
      method: 'POST',
      path: `/appointments/${appointment(1)}/move`,
      headers: { 'Idempotency-Key': key },
      body: { SlotId: 11205 },
    },
    refusal(400, 'Validation', '4000', 'appointment_cancelled', message),
    async (baseUrl) => assert.equal((await move(talonAt(baseUrl), appointment(1), 11205)).message, message),
  );
}

portal(
  'booked',
  'to cancel an appointment',
  { method: 'DELETE', path: `/appointments/${appointment(2)}`, headers: { 'Idempotency-Key': key } },
  { status: 200, body: { code: 200, message: 'Запись на прием отменена', message_code: '2000' } },
  async (baseUrl) => assert.equal(await cancel(talonAt(baseUrl), appointment(2)), 'Запись на прием отменена'),
);

{
  const message = 'Отменить или перенести запись можно только до начала приема.';
  portal(
    'appointment_started',
    'to cancel a visit that has begun',
    { method: 'DELETE', path: `/appointments/${appointment(4)}`, headers: { 'Idempotency-Key': key } },
    refusal(400, 'Validation', '4000', 'appointment_started', message),
    async (baseUrl) => assert.equal((await cancel(talonAt(baseUrl), appointment(4))).message, message),
  );
}
