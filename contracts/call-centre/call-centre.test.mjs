// The expectations of the call centre. `npm run pacts` writes them to pacts/call-centre-talon.json.
import assert from 'node:assert/strict';
import { M, inDays, key, pactOf, refusal, time, uuid } from '../pact.mjs';
import { callCentre } from './call-centre.mjs';

const interaction = pactOf('call-centre');

const desk = (baseUrl) => callCentre({ baseUrl, guid: 'de300000-0003-4000-8000-000000000005', secret: 'demo-secret' });
const token = 'Bearer a-token';

const lpuA = 'e66e8056-f0bd-4ec3-85f7-28ff5b22db4f';
const lpuB = '4cb4f1c8-386d-410d-ac5d-fa232bd2afb9';
const lpuV = '1dadf64c-f34a-4023-98a6-3e7b7be4f243';
const lpuG = '12ab9992-9875-4fb6-a9c0-8504170c1429';
const direction = (patient, number) =>
  `de300000-0007-4000-8000-${String(patient).padStart(4, '0')}${String(number).padStart(8, '0')}`;
const appointment = (number) => `de300000-000a-4000-8000-${String(number).padStart(12, '0')}`;

const consultation = (patient, number, slot, from = lpuA, to = lpuB) => ({
  DirectionGuid: direction(patient, number),
  DirectionType: 'Consult',
  LpuFromGuid: from,
  LpuToGuid: to,
  SlotId: slot,
});
const givenKey = '5f1b7f5e-0a3c-4a57-8d2e-6a1f0b9f4c11';
const booking = (body) => ({ method: 'POST', path: '/appointments', headers: { 'Idempotency-Key': key }, body });
const retryAfter = { 'Retry-After': M.regex('^[1-9]\\d*$', '900') };

/** Returns the part of a refusal that the operator reads. */
const shown = ({ refusal: { rule, message } }) => [rule, message];

const byName = { epgu: 'true', snils: '000-000-000 18', f: 'Волков', n: 'Павел', p: 'Игоревич' };
const byPolicy = { n_pol: '0000000000000018', Birthday: '1900-01-01' };
const identity = (query) => ({ method: 'GET', path: '/auth/cod/token', query });

interaction(
  'token',
  'the token of a caller who gives an insurance number and names',
  identity(byName),
  {
    status: 200,
    headers: { 'Cache-Control': 'no-store' },
    body: {
      token: M.regex('^[\\w-]+\\.[\\w-]+\\.[\\w-]+$', 'header.claims.signature'),
      expiresAt: M.regex('^\\d{4}-.+Z$', '2019-08-20T15:52:14Z'),
      personGuid: 'de300000-0005-4000-8000-000000000018',
    },
  },
  async (baseUrl) =>
    assert.deepEqual(await desk(baseUrl).identifyByName(...Object.values(byName).slice(1)), {
      token: 'Bearer header.claims.signature',
      until: '2019-08-20T15:52:14Z',
    }),
);

{
  const message =
    'Пациент с такими данными и открытой медицинской картой не найден. ' +
    'Проверьте данные или обратитесь в регистратуру медицинского учреждения.';
  interaction(
    'patient_not_identified',
    'the token of a caller who gives a policy and the wrong birth date',
    identity(byPolicy),
    refusal(403, 'Error', '4030', 'patient_not_identified', message),
    async (baseUrl) =>
      assert.deepEqual(shown(await desk(baseUrl).identifyByPolicy(...Object.values(byPolicy))), [
        'patient_not_identified',
        message,
      ]),
  );
}

interaction(
  'client_unauthenticated',
  'a token with a secret that is wrong',
  identity(byPolicy),
  refusal(403, 'Error', '5403', 'client_unauthenticated', 'Код авторизации не верен'),
  async (baseUrl) =>
    assert.equal(
      (await desk(baseUrl).identifyByPolicy(...Object.values(byPolicy))).refusal.rule,
      'client_unauthenticated',
    ),
);

interaction(
  'not_booked',
  'the referral of a number on paper',
  { method: 'GET', path: '/directions/by-number/00000018003' },
  {
    status: 200,
    body: {
      guid: direction(18, 3),
      type: 'Laboratory',
      number: '00000018003',
      status: 'NotBooked',
      holderLpuGuid: lpuA,
      dateEnd: time(),
      appointment: null,
    },
  },
  async (baseUrl) => assert.equal((await desk(baseUrl).referral(token, '00000018003')).guid, direction(18, 3)),
);

interaction(
  'direction_absent',
  'the referral of a number that there is not',
  { method: 'GET', path: '/directions/by-number/99999999999' },
  refusal(404, 'Error', '4041', 'direction_absent', 'Направление не найдено'),
  async (baseUrl) =>
    assert.deepEqual(shown(await desk(baseUrl).referral(token, '99999999999')), [
      'direction_absent',
      'Направление не найдено',
    ]),
);

interaction(
  'check_allowed',
  'what stands in the way of a booking that is allowed',
  { method: 'POST', path: '/appointments/check', body: consultation(18, 2, 31205) },
  {
    status: 200,
    body: {
      allowed: true,
      checks: M.eachLike({
        rule: M.like('slot_full'),
        result: M.regex('^(passed|not_evaluated)$', 'passed'),
        message: null,
      }),
    },
  },
  async (baseUrl) => assert.deepEqual(await desk(baseUrl).failedChecks(token, consultation(18, 2, 31205)), []),
);

{
  const check = { rule: 'slot_full', message: 'Выбранная ячейка расписания уже занята.', mender: 'patient' };
  interaction(
    'check_refused',
    'what stands in the way of a booking of a full cell',
    { method: 'POST', path: '/appointments/check', body: consultation(18, 1, 20914) },
    {
      status: 200,
      body: { allowed: false, checks: M.arrayContaining({ ...check, result: 'failed', field: 'SlotId' }) },
    },
    async (baseUrl) => assert.deepEqual(await desk(baseUrl).failedChecks(token, consultation(18, 1, 20914)), [check]),
  );
}

interaction(
  'consult',
  'to book a cell',
  booking(consultation(19, 1, 11201)),
  {
    status: 200,
    body: {
      type: 'Consult',
      consultDirection: {
        guid: direction(19, 1),
        appointment: { guid: uuid(), start: time(), end: time(), createTime: time() },
      },
    },
  },
  async (baseUrl) =>
    assert.equal(
      (await desk(baseUrl).book(token, consultation(19, 1, 11201), givenKey)).start,
      '2019-08-21T08:45:00+03:00',
    ),
);

{
  const examination = {
    DirectionGuid: direction(19, 3),
    DirectionType: 'Laboratory',
    LpuFromGuid: lpuA,
    LpuToGuid: lpuB,
    DocPrvdGuid: 'de300000-0004-4000-8000-000000000005',
    Date: '2019-08-21',
    OutOfSchedule: true,
  };
  const midnight = M.regex('^\\d{4}-\\d{2}-\\d{2}T00:00:00\\+03:00$', '2019-08-21T00:00:00+03:00');
  interaction(
    'laboratory',
    'to book out of schedule',
    booking({ ...examination, Date: inDays(7) }),
    {
      status: 200,
      body: {
        type: 'Laboratory',
        consultDirection: null,
        laboratoryDirection: {
          guid: direction(19, 3),
          appointment: { guid: uuid(), start: midnight, end: midnight, createTime: time() },
        },
      },
    },
    async (baseUrl) =>
      assert.equal((await desk(baseUrl).book(token, examination, givenKey)).start, '2019-08-21T00:00:00+03:00'),
  );
}

for (const [code, type, messageCode, rule, message, body] of [
  [
    403,
    'Error',
    '5096',
    'mkab_closed',
    'Ваша электронная медицинская карта закрыта. Обратитесь в регистратуру медицинского учреждения.',
    consultation(9, 1, 20815),
  ],
  [
    404,
    'Error',
    '4001',
    'mkab_absent',
    'Ваша электронная медицинская карта отсутствует. Обратитесь в регистратуру медицинского учреждения.',
    consultation(10, 4, 20815),
  ],
  [
    400,
    'Validation',
    '4000',
    'slot_access_denied',
    'У вас не хватает прав для записи в выбранную ячейку расписания.',
    consultation(18, 1, 20811),
  ],
  [400, 'Validation', '4000', 'direction_not_found', 'Направление не найдено', consultation(18, 99, 20815)],
  [
    400,
    'Validation',
    '4029',
    'slot_adults_only',
    'Запись недоступна для лиц младше 18 лет. ' +
      'Сотрудниками учреждения было установлено ограничение по возрасту при записи на прием на выбранное время.',
    consultation(8, 1, 20801),
  ],
]) {
  interaction(
    rule,
    'to book what cannot be',
    booking(body),
    refusal(code, type, messageCode, rule, message),
    async (baseUrl) => assert.deepEqual(shown(await desk(baseUrl).book(token, body, givenKey)), [rule, message]),
  );
}

{
  const body = consultation(23, 1, 101201, lpuV, lpuG);
  const response = {
    ...refusal(503, 'Error', '5030', 'mip_unavailable', 'Сервис МИП временно недоступен. Повторите попытку позже.'),
    headers: retryAfter,
  };
  interaction('mip_unavailable', 'to book while the index does not answer', booking(body), response, async (baseUrl) =>
    assert.equal((await desk(baseUrl).book(token, body, givenKey)).refusal.retryAfter, 900),
  );
}

{
  const cancel = (number) => ({
    method: 'DELETE',
    path: `/appointments/${appointment(number)}`,
    headers: { 'Idempotency-Key': key },
    body: { ReasonCode: 6, Reason: 'Пациент уезжает' },
  });
  interaction(
    'booked',
    'to cancel for a reason in words',
    cancel(2),
    { status: 200, body: { code: 200, message: 'Запись на прием отменена', message_code: '2000' } },
    async (baseUrl) =>
      assert.equal(
        (await desk(baseUrl).cancel(token, appointment(2), 'Пациент уезжает', givenKey)).message,
        'Запись на прием отменена',
      ),
  );
  interaction(
    'appointment_absent',
    'to cancel what there is not',
    cancel(0),
    refusal(404, 'Error', '4042', 'appointment_absent', 'Запись на прием не найдена'),
    async (baseUrl) =>
      assert.equal(
        (await desk(baseUrl).cancel(token, appointment(0), 'Пациент уезжает', givenKey)).refusal.rule,
        'appointment_absent',
      ),
  );
}

interaction(
  'rules',
  'the rules of an institution',
  { method: 'GET', path: '/rules', query: { lpuGuid: lpuB } },
  {
    status: 200,
    body: {
      items: M.arrayContaining(
        {
          rule: 'slot_full',
          group: 'slot',
          status: 400,
          messageCode: '4000',
          message: 'Выбранная ячейка расписания уже занята.',
          retryable: false,
          mender: 'patient',
          enabled: true,
          setting: null,
        },
        {
          rule: 'mkab_absent',
          group: 'mkab',
          status: 404,
          messageCode: '4001',
          retryable: false,
          mender: 'registry',
          enabled: true,
          setting: '2dr_RecordWithoutMkab',
        },
        {
          rule: 'mip_person_not_found',
          group: 'mip',
          status: 500,
          messageCode: '5000',
          retryable: false,
          mender: 'registry',
          enabled: false,
          setting: '2dr_RecordWithoutMkab',
        },
      ),
    },
  },
  async (baseUrl) =>
    assert.deepEqual(await desk(baseUrl).rules(token, lpuB), [
      { rule: 'slot_full', mender: 'patient' },
      { rule: 'mkab_absent', mender: 'registry' },
    ]),
);

interaction(
  'too_many_attempts',
  'the token of a known caller for whom there were too many attempts',
  identity({ personguid: 'de300000-0005-4000-8000-000000000036' }),
  {
    ...refusal(429, 'Error', '4290', 'too_many_attempts', 'Слишком много неудачных попыток. Повторите попытку позже.'),
    headers: retryAfter,
  },
  async (baseUrl) =>
    assert.equal((await desk(baseUrl).identifyByGuid('de300000-0005-4000-8000-000000000036')).refusal.retryAfter, 900),
);
