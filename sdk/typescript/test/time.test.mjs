import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import {
  byDay,
  createAppointment,
  createTalon,
  dayOf,
  formatTime,
  getAppointment,
  isWholeDay,
  items,
  listDirectionSlots,
  orThrow,
  today,
} from 'talon-sdk';
import { direction, lpu, person, startTalon } from './service.mjs';

// The zone of this process is 15 hours behind the institution: a wrong zone shows another day.
process.env.TZ = 'Pacific/Honolulu';

/** @type {Awaited<ReturnType<typeof startTalon>>} */
let service;
before(async () => {
  assert.equal(new Date('2026-01-01T00:00:00Z').getHours(), 14, 'TZ has an effect');
  service = await startTalon();
});
after(() => service?.stop());

test('Promise: a time is formatted in the zone of its institution, not of the browser', async () => {
  const token = await service.tokenOf(person(10));
  const talon = createTalon({ baseUrl: service.baseUrl, token: () => token });
  const { items: cells } = orThrow(await listDirectionSlots(talon, { path: { directionGuid: direction(10, 1) } }));
  const [{ start, lpu: place }] = cells;
  assert.equal(place.timeZone, 'Asia/Yekaterinburg');
  assert.match(start, /\+05:00$/);

  const [, year, month, day, time] = /^(\d+)-(\d+)-(\d+)T(\d+:\d+)/.exec(start) ?? [];
  assert.equal(formatTime(start, 'ru', { dateStyle: 'short', timeStyle: 'short' }), `${day}.${month}.${year}, ${time}`);
  assert.equal(formatTime(start, 'ru', { timeStyle: 'short', timeZone: place.timeZone }), time);
  assert.match(
    formatTime(start, 'ru', { timeStyle: 'long', timeZone: place.timeZone }),
    new RegExp(`^${time}:00 GMT\\+5$`),
  );
  assert.equal(dayOf(start), `${year}-${month}-${day}`);
});

test('Promise: cells are grouped by the day of their institution', async () => {
  const token = await service.tokenOf(person(10));
  const talon = createTalon({ baseUrl: service.baseUrl, token: () => token });
  const cells = [];
  for await (const cell of items(listDirectionSlots, talon, {
    path: { directionGuid: direction(10, 1) },
    query: { limit: 5 },
  }))
    cells.push(cell);
  const days = byDay(cells);
  assert.ok(days.size > 1);
  assert.deepEqual([...days.keys()], [...days.keys()].sort());
  assert.deepEqual([...days.values()].flat(), cells);
  for (const [day, ofDay] of days) for (const { start } of ofDay) assert.ok(start.startsWith(day));
});

test('Promise: a visit with a day and no time is recognised and keeps its day', async () => {
  const token = await service.tokenOf(person(1));
  const talon = createTalon({ baseUrl: service.baseUrl, token: () => token });
  const tomorrow = today('Asia/Yekaterinburg', new Date(Date.now() + 86_400_000));
  const booked = orThrow(
    await createAppointment(talon, {
      body: {
        DirectionGuid: '18c29a77-35cf-4532-b70a-d493eae6dbc7',
        DirectionType: 'Laboratory',
        LpuFromGuid: lpu.В,
        LpuToGuid: lpu.Г,
        OutOfSchedule: true,
        DocPrvdGuid: 'b0666870-c5b7-4e38-a959-0f17bc50a3cf',
        Date: tomorrow,
      },
    }),
  );
  const appointmentGuid = booked.laboratoryDirection?.appointment.guid ?? '';
  const visit = orThrow(await getAppointment(talon, { path: { appointmentGuid } }));
  assert.ok(isWholeDay(visit));
  assert.equal(dayOf(visit.start), tomorrow);
  const [year, month, day] = tomorrow.split('-');
  assert.equal(formatTime(visit.start, 'ru', { dateStyle: 'short' }), `${day}.${month}.${year}`);
});

test('Promise: days are those of the institution around midnight and at changes of the clock', () => {
  assert.equal(dayOf('2026-11-30T00:00:00+05:00'), '2026-11-30');
  assert.equal(formatTime('2026-11-30T00:00:00+05:00', 'ru', { day: 'numeric', month: 'long' }), '30 ноября');
  assert.equal(formatTime('2026-03-29T03:30:00+02:00', 'en-GB', { timeStyle: 'short' }), '03:30');
  assert.equal(formatTime('2026-03-08T02:30:00+03:00', 'en-GB', { timeStyle: 'short' }), '02:30');
  const [evening, morning] = ['2026-11-30T23:50:00+05:00', '2026-12-01T00:10:00+05:00'].map((start) => ({ start }));
  assert.deepEqual(
    byDay([evening, morning]),
    new Map([
      ['2026-11-30', [evening]],
      ['2026-12-01', [morning]],
    ]),
  );
  assert.equal(today('Asia/Yekaterinburg', new Date('2026-11-30T20:00:00Z')), '2026-12-01');
  assert.equal(today('Europe/Moscow', new Date('2026-11-30T20:00:00Z')), '2026-11-30');
  assert.ok(
    !isWholeDay({ start: '2026-11-30T00:00:00+05:00', end: '2026-11-30T00:00:00+05:00' }),
    'starts at midnight, with an unknown duration',
  );
  assert.ok(!isWholeDay({ start: '2026-11-30T08:45:00+05:00', end: '2026-11-30T09:00:00+05:00' }));
});
