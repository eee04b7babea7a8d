// The portal's expectations. `npm run pacts` writes them to pacts/patient-portal-talon.json.
import assert from 'node:assert/strict';
import { createTalon } from 'talon-sdk';
import {
  book,
  cancel,
  cells,
  findVisit,
  hold,
  move,
  referrals,
  release,
  ticket,
} from '../dist/patient-portal/portal.js';
import { M, key, pactOf, refusal, time, uuid } from '../pact.mjs';

const interaction = pactOf('patient-portal');

/** Creates the portal's client. It never retries: the SDK has its own tests of retries. */
const talonAt = (baseUrl, fetch) => createTalon({ baseUrl, fetch, token: () => 'a-token', tries: 1 });

const lpuA = 'e66e8056-f0bd-4ec3-85f7-28ff5b22db4f';
const lpuB = '4cb4f1c8-386d-410d-ac5d-fa232bd2afb9';
const direction = (patient, number) =>
  `de300000-0007-4000-8000-${String(patient).padStart(4, '0')}${String(number).padStart(8, '0')}`;
const appointment = (number) => `de300000-000a-4000-8000-${String(number).padStart(12, '0')}`;
const slotGuid = (id) => `de300000-0009-4000-8000-${String(id).padStart(12, '0')}`;

/** Returns a choice of the patient, and the body that books it. */
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

interaction(
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

interaction(
  'no_directions',
  'the referrals of a patient who has none',
  { method: 'GET', path: '/directions', query: { status: 'NotBooked' } },
  { status: 200, body: { items: [], next: null } },
  async (baseUrl) => assert.deepEqual(await referrals(talonAt(baseUrl)), []),
);

interaction(
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

interaction(
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
      remedy: 'read the message',
      message: 'У выбранного направления уже есть запись на прием',
    }),
);

{
  const { choice, referred } = choose(20, 2, 31204);
  interaction(
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
  const response = refusal(409, 'Validation', '4091', 'too_many_holds', message, { holds: M.eachLike(held, 2) });
  interaction(
    'too_many_holds',
    'to hold a third cell',
    { method: 'POST', path: `/slots/${choice.slot.guid}/hold`, body: referred },
    response,
    async (baseUrl) => {
      const result = await hold(talonAt(baseUrl), choice);
      assert.deepEqual([result.remedy, result.message, result.holds.length], ['release a cell', message, 2]);
    },
  );
}

{
  const { choice } = choose(19, 2, 31204);
  interaction(
    'released',
    'to give a cell back',
    { method: 'DELETE', path: `/slots/${choice.slot.guid}/hold`, query: { lpuGuid: lpuB } },
    { status: 200, body: { code: 200, message: 'Удержание ячейки снято', message_code: '2000' } },
    async (baseUrl) => assert.equal(await release(talonAt(baseUrl), choice), 'Удержание ячейки снято'),
  );
}

{
  const { choice, body } = choose(19, 1, 11201);
  interaction(
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
  interaction(
    'direction_already_booked',
    'to book by a referral that is booked',
    booking(body),
    refusal(400, 'Validation', '4000', 'direction_already_booked', message, existing(appointment(2))),
    async (baseUrl) => {
      const result = await book(talonAt(baseUrl), choice);
      assert.deepEqual(
        [result.remedy, result.message, result.appointment.guid],
        ['see the appointment', message, appointment(2)],
      );
    },
  );
}

{
  const { choice, body } = choose(2, 4, 20815);
  // The message contains the time of the visit, which is relative to now.
  const onlyOne = 'Запрещено иметь более одной активной записи на прием на одну специальность';
  const message = M.regex(
    `^Вы уже записаны .+ на \\d{2}\\.\\d{2}\\.\\d{4} \\d{2}:\\d{2}\\. ${onlyOne}\\.$`,
    `Вы уже записаны Врач Терапевт на 21.08.2019 08:45. ${onlyOne}.`,
  );
  interaction(
    'speciality_already_booked',
    'to book a second visit in a speciality',
    booking(body),
    refusal(400, 'Validation', '4008', 'speciality_already_booked', message, existing(appointment(2))),
    async (baseUrl) => assert.equal((await book(talonAt(baseUrl), choice)).remedy, 'see the appointment'),
  );
}

for (const [rule, messageCode, message, patient, slot] of [
  ['slot_full', '4000', 'Выбранная ячейка расписания уже занята.', 18, 20914],
  ['slot_taken', '4009', 'Это время уже занято. Выберите другое свободное время приема.', 25, 11205],
]) {
  const { choice, body } = choose(patient, 1, slot);
  interaction(
    rule,
    'to book a cell that somebody else has',
    booking(body),
    refusal(400, 'Validation', messageCode, rule, message, nearest),
    async (baseUrl) => {
      const result = await book(talonAt(baseUrl), choice);
      assert.deepEqual([result.remedy, result.message, result.cells[0].id], ['choose another cell', message, 14527456]);
    },
  );
}

{
  const { choice, body } = choose(18, 1, 20815);
  interaction(
    'token_expired',
    'to book with a token that has expired',
    booking(body),
    refusal(403, 'Error', '5007', 'token_expired', 'Время действия токена истекло'),
    async (baseUrl) => assert.deepEqual(await book(talonAt(baseUrl), choice), { remedy: 'sign in' }),
  );
}

{
  const { choice, body } = choose(33, 1, 20815);
  const message = 'Сервис перегружен. Повторите попытку позже.';
  const response = {
    ...refusal(503, 'Error', '5030', 'overloaded', message),
    headers: { 'Retry-After': M.regex('^[1-9]\\d*$', '1') },
  };
  interaction('overloaded', 'to book while the service has too much to do', booking(body), response, async (baseUrl) =>
    assert.deepEqual(await book(talonAt(baseUrl), choice), { remedy: 'try later', message, seconds: 1 }),
  );
}

const visitsOf = (directionGuid) => ({
  method: 'GET',
  path: '/appointments',
  query: { directionGuid, status: 'Booked' },
});

/** A fetch that loses the responses of bookings. */
const losingFetch = (request) =>
  request.method === 'POST' ? Promise.reject(new TypeError('connection lost')) : fetch(request);

{
  const { choice } = choose(2, 1, 20914);
  interaction(
    'direction_already_booked',
    'what has become of a booking whose answer was lost',
    visitsOf(choice.directionGuid),
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
    async (baseUrl) => assert.equal((await book(talonAt(baseUrl, losingFetch), choice)).guid, appointment(2)),
  );
}

{
  const { choice } = choose(18, 1, 20815);
  interaction(
    'no_appointments',
    'what has become of a booking that did not arrive',
    visitsOf(choice.directionGuid),
    { status: 200, body: { items: [], next: null } },
    async (baseUrl) => {
      assert.equal(await book(talonAt(baseUrl, losingFetch), choice), undefined);
      assert.equal(await findVisit(talonAt(baseUrl), choice.directionGuid), undefined);
    },
  );
}

interaction(
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

interaction(
  'appointment_absent',
  'an appointment that there is not',
  { method: 'GET', path: `/appointments/${appointment(0)}` },
  refusal(404, 'Error', '4042', 'appointment_absent', 'Запись на прием не найдена'),
  async (baseUrl) =>
    assert.equal((await ticket(talonAt(baseUrl), appointment(0))).message, 'Запись на прием не найдена'),
);

interaction(
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
  interaction(
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

interaction(
  'booked',
  'to cancel an appointment',
  { method: 'DELETE', path: `/appointments/${appointment(2)}`, headers: { 'Idempotency-Key': key } },
  { status: 200, body: { code: 200, message: 'Запись на прием отменена', message_code: '2000' } },
  async (baseUrl) => assert.equal(await cancel(talonAt(baseUrl), appointment(2)), 'Запись на прием отменена'),
);

{
  const message = 'Отменить или перенести запись можно только до начала приема.';
  interaction(
    'appointment_started',
    'to cancel a visit that has begun',
    { method: 'DELETE', path: `/appointments/${appointment(4)}`, headers: { 'Idempotency-Key': key } },
    refusal(400, 'Validation', '4000', 'appointment_started', message),
    async (baseUrl) => assert.equal((await cancel(talonAt(baseUrl), appointment(4))).message, message),
  );
}
