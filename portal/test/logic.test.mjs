// Tests that need no browser: addresses, texts, the calendar file, and the remedy of each refusal.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import * as format from '../out/format.js';
import { calendar } from '../out/ics.js';
import { href, parseRoute } from '../out/route.js';
import { remedyFor } from '../out/remedies.js';
import { referralTitle } from '../out/labels.js';
import { setLanguage } from '../out/language.js';
import { en } from '../out/texts/en.js';
import { ru } from '../out/texts/ru.js';

const visit = {
  guid: '01a2096a-5a78-7d22-bf57-f1a43b75d913',
  status: 'Booked',
  start: '2026-11-30T08:45:00+05:00',
  end: '2026-11-30T09:15:00+05:00',
  createTime: '2026-11-23T20:18:14+05:00',
  updateTime: '2026-11-23T20:18:14+05:00',
  outOfSchedule: false,
  isCito: false,
  comment: '',
  lpu: {
    guid: '12ab9992-9875-4fb6-a9c0-8504170c1429',
    name: 'Демонстрационный центр Г',
    address: '',
    phone: '',
    timeZone: 'Asia/Yekaterinburg',
  },
  resource: {
    guid: 'de300000-0004-4000-8000-000000000011',
    kind: 'doctor',
    name: 'Врач Невролог Второй',
    room: '',
    specialityCode: '27',
  },
  preparation: '',
  direction: {
    guid: 'de300000-0007-4000-8000-001000000002',
    holderLpuGuid: '1dadf64c-f34a-4023-98a6-3e7b7be4f243',
    type: 'Consult',
    number: '00000010002',
    speciality: { code: '27', name: 'Неврология' },
  },
  cancellation: null,
};

/** Returns the lines of a calendar file after it has unfolded them. */
const linesOf = (file) => file.replaceAll('\r\n ', '').split('\r\n').filter(Boolean);

/** Returns the properties of the event in a calendar file. */
function properties(file) {
  const lines = linesOf(file);
  const alarm = lines.indexOf('BEGIN:VALARM');
  return Object.fromEntries(
    lines
      .slice(0, alarm === -1 ? undefined : alarm)
      .map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]),
  );
}

/** Runs a function with the page in English. */
function inEnglish(run) {
  setLanguage('en');
  try {
    return run();
  } finally {
    setLanguage('ru');
  }
}

test('Promise: the times of a calendar file are in UTC, so that they are right in any zone', () => {
  const event = properties(calendar(visit));
  assert.equal(event.DTSTART, '20261130T034500Z');
  assert.equal(event.DTEND, '20261130T041500Z');
  assert.equal(event.DTSTAMP, '20261123T151814Z');
  assert.equal(event.UID, visit.guid);
  assert.equal(event.SUMMARY, 'Приём: Врач Невролог Второй');
  assert.match(event.DESCRIPTION, /Направление № 00000010002/);
  assert.match(event.DESCRIPTION, /08:45–09:15\\, время: Екатеринбург \(UTC\+5\)/);
});

test('Promise: a visit without a time is a whole day, and a visit of unknown duration has no end', () => {
  const day = properties(calendar({ ...visit, start: '2026-11-30T00:00:00+05:00', end: '2026-12-01T00:00:00+05:00' }));
  assert.equal(day['DTSTART;VALUE=DATE'], '20261130');
  assert.equal(day['DTEND;VALUE=DATE'], '20261201');
  const open = properties(calendar({ ...visit, end: visit.start }));
  assert.equal(open.DTSTART, '20261130T034500Z');
  assert.equal('DTEND' in open, false);
});

test('Promise: the calendar file of a moved visit is newer, and the file of a cancelled one cancels it', () => {
  const moved = properties(calendar({ ...visit, updateTime: '2026-11-24T20:18:14+05:00' }));
  assert.ok(Number(moved.SEQUENCE) > Number(properties(calendar(visit)).SEQUENCE));
  assert.equal(properties(calendar({ ...visit, status: 'Cancelled' })).STATUS, 'CANCELLED');
});

test('Promise: the calendar file has the address, the preparation, and reminders a day and two hours before', () => {
  const full = {
    ...visit,
    lpu: { ...visit.lpu, address: 'ул. Садовая, 1; вход со двора', phone: '+7 343 000-00-04' },
    resource: { ...visit.resource, room: '214' },
    preparation: 'Натощак.\nВозьмите паспорт.',
  };
  const event = properties(calendar(full));
  assert.equal(event.LOCATION, 'Демонстрационный центр Г\\, ул. Садовая\\, 1\\; вход со двора\\, кабинет 214');
  assert.match(event.DESCRIPTION, /\\nКак подготовиться: Натощак\.\\nВозьмите паспорт\.\\nТелефон: \+7 343 000-00-04$/);
  const alarmsOf = (file) => linesOf(file).filter((line) => /^(BEGIN:VALARM|TRIGGER|ACTION)/.test(line));
  const alarm = (trigger) => ['BEGIN:VALARM', 'ACTION:DISPLAY', `TRIGGER:${trigger}`];
  assert.deepEqual(alarmsOf(calendar(full)), [...alarm('-P1D'), ...alarm('-PT2H')]);
  const wholeDay = { ...visit, start: '2026-11-30T00:00:00+05:00', end: '2026-12-01T00:00:00+05:00' };
  assert.deepEqual(alarmsOf(calendar(wholeDay)), alarm('-PT12H'));
  assert.deepEqual(alarmsOf(calendar({ ...visit, status: 'Cancelled' })), []);
  assert.equal(
    linesOf(calendar(full)).filter((line) => line.startsWith('DESCRIPTION:')).length,
    3,
    'each alarm has one',
  );
});

test('Promise: the calendar file follows RFC 5545 with any characters in names and comments', () => {
  const comment = 'Болит; очень, \\ вот так\nи так 🩺'.repeat(20);
  const file = calendar({ ...visit, comment });
  assert.ok(file.startsWith('BEGIN:VCALENDAR\r\n') && file.endsWith('END:VCALENDAR\r\n'));
  const lines = file.slice(0, -2).split('\r\n');
  assert.equal(/[\r\n]/.test(lines.join('')), false, 'lines end with CRLF only');
  for (const line of lines) {
    assert.ok(Buffer.byteLength(line) <= 75, `${Buffer.byteLength(line)} octets: ${line}`);
    assert.equal(line.isWellFormed?.() ?? true, true, 'no character is split');
  }
  const escaped = properties(file).DESCRIPTION;
  assert.ok(escaped.endsWith('Болит\\; очень\\, \\\\ вот так\\nи так 🩺'));
  const read = escaped.replace(/\\(.)/g, (_, character) => (character === 'n' ? '\n' : character));
  assert.ok(read.endsWith(comment));
});

test('Promise: every rule has a remedy that names who can help', async () => {
  const table = await readFile(new URL('../../docs/answers.md', import.meta.url), 'utf8');
  const rules = table
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) => line.split('|').map((cell) => cell.trim()));
  assert.ok(rules.length > 60, 'the table is found');
  const expected = {
    patient: /./,
    client: /./,
    service: /повторите|регистратур/i,
    registry: /регистратур/i,
    referring_doctor: /врач/,
  };
  for (const [, name, , , , , , message, , mender] of rules) {
    const rule = name.replaceAll('`', '');
    const { kind, advice } = remedyFor({ rule });
    assert.notEqual(kind === 'reload' && mender !== 'client', true, `${rule} has no remedy`);
    assert.match(`${message} ${advice}`, expected[mender], rule);
  }
});

test('Promise: a remedy contains the details of its refusal, and an unknown rule has a remedy, too', () => {
  const appointment = { guid: visit.guid, lpuGuid: visit.lpu.guid, start: visit.start, end: visit.end };
  assert.equal(remedyFor({ rule: 'direction_already_booked', details: { appointment } }).appointment, appointment);
  const slots = [{ id: 1, guid: visit.guid, start: visit.start, end: visit.end, resource: visit.resource }];
  assert.equal(remedyFor({ rule: 'slot_full', details: { slots } }).nearest, slots);
  assert.deepEqual(remedyFor({ rule: 'slot_full' }).nearest, []);
  assert.equal(remedyFor({ rule: 'a_rule_of_next_year' }).kind, 'reload');
});

test('Promise: times are formatted in the zone of the institution', () => {
  assert.equal(format.formatVisit(visit), 'понедельник, 30 ноября 2026, 08:45–09:15');
  assert.equal(
    format.formatVisit({ start: '2026-11-30T00:00:00+05:00', end: '2026-12-01T00:00:00+05:00' }),
    'понедельник, 30 ноября 2026, в течение дня',
  );
  assert.equal(format.formatVisit({ start: visit.start, end: visit.start }), 'понедельник, 30 ноября 2026, 08:45');
  assert.equal(format.zoneOf(visit.start, 'Asia/Yekaterinburg'), 'Екатеринбург (UTC+5)');
  assert.equal(format.zoneOf('2026-11-30T08:45:00+05:45', 'Asia/Kathmandu'), 'UTC+5:45');
  assert.equal(format.zoneOf('2026-11-30T08:45:00-03:00'), 'UTC−3');
  assert.equal(format.zoneOf('2026-11-30T08:45:00+00:00'), 'UTC');
  assert.equal(format.formatDate('2026-11-30T00:00:00+10:00'), '30 ноября 2026');
  assert.equal(format.addDays('2026-11-30', 14), '2026-12-14');
});

test('Promise: the names of days and months are those of Intl', () => {
  const of = (locale, fields, day) => new Intl.DateTimeFormat(locale, { ...fields, timeZone: 'UTC' }).format(day);
  for (const [locale, { months, weekdays, shortWeekdays }] of Object.entries({ ru, en })) {
    const days = Array.from({ length: 7 }, (_, index) => Date.UTC(2026, 10, 1 + index)); // from a Sunday
    assert.deepEqual(
      weekdays,
      days.map((day) => of(locale, { weekday: 'long' }, day)),
    );
    assert.deepEqual(
      shortWeekdays,
      days.map((day) => of(locale, { weekday: 'short' }, day)),
    );
    const ofMonth = (_, index) =>
      of(locale, { day: 'numeric', month: 'long' }, Date.UTC(2026, index, 1)).replace(/[ \d]/g, '');
    assert.deepEqual(months, Array.from({ length: 12 }, ofMonth));
  }
});

test('Promise: nouns agree with their numbers, and titles of referrals omit unknown parts', () => {
  assert.deepEqual([0, 1, 2, 5, 11, 21, 22].map(ru.visitCount), [
    '0 записей',
    '1 запись',
    '2 записи',
    '5 записей',
    '11 записей',
    '21 запись',
    '22 записи',
  ]);
  assert.deepEqual([0, 1, 2].map(en.visitCount), ['0 appointments', '1 appointment', '2 appointments']);
  assert.equal(referralTitle(visit.direction), 'Консультация: Неврология');
  assert.equal(referralTitle({ type: 'Laboratory', speciality: { code: '', name: '' } }), 'Исследование');
  assert.equal(
    referralTitle({ type: 'Consult', speciality: { code: '92', name: '' } }),
    'Консультация: специальность 92',
  );
});

test('Promise: every view has an address that opens it', () => {
  const { guid: lpu } = visit.lpu;
  const search = { lpu, resource: visit.resource.guid, part: 'evening', from: '2026-11-30', day: '2026-12-01' };
  const none = { lpu: undefined, resource: undefined, part: undefined, from: undefined, day: undefined };
  for (const route of [
    { view: 'referrals' },
    { view: 'cells', direction: visit.direction.guid, search },
    { view: 'cells', direction: visit.direction.guid, search: none },
    { view: 'institutions', direction: visit.direction.guid },
    { view: 'appointments' },
    { view: 'ticket', appointment: visit.guid, news: 'moved' },
    { view: 'move', appointment: visit.guid, search },
    { view: 'moveInstitutions', appointment: visit.guid },
    { view: 'cancel', appointment: visit.guid },
  ]) {
    assert.deepEqual(parseRoute(href(route)), route);
  }
  assert.deepEqual(parseRoute(''), { view: 'referrals' });
  for (const unknown of ['#/no/such', `#/appointments/${visit.guid}/sell`, '#/referrals/a/b/c', '#/%']) {
    assert.deepEqual(parseRoute(unknown), { view: 'notFound' }, unknown);
  }
  assert.equal(parseRoute('#/appointments/a?news=constructor').news, undefined);
  const { search: read } = parseRoute('#/referrals/a?part=noon&from=2026-13-99&day=today');
  assert.deepEqual(read, none, 'values that no link has are ignored');
});

test('Promise: the dictionaries have the same texts; the English ones have no Russian words', () => {
  const textsOf = (dictionary, path = '') =>
    Object.entries(dictionary).flatMap(([key, value]) =>
      typeof value === 'object' ? textsOf(value, `${path}${key}.`) : [[`${path}${key}`, value]],
    );
  const keys = (dictionary) => textsOf(dictionary).map(([key]) => key);
  assert.deepEqual(keys(en), keys(ru));
  for (const [key, value] of textsOf(en)) {
    const text = typeof value === 'function' ? value('1', '2') : value;
    assert.doesNotMatch(String(text).replace('СНИЛС', ''), /[А-Яа-яЁё]/, key);
  }
  for (const [key, value] of textsOf(ru)) {
    if (typeof value === 'string' && value !== '' && key !== 'numberSign') assert.match(value, /[А-Яа-яЁё]/, key);
  }
});

test('Promise: times, titles and remedies are in the language of the page', () => {
  inEnglish(() => {
    assert.equal(format.formatVisit(visit), 'Monday, 30 November 2026, 08:45–09:15');
    assert.equal(format.zoneOf(visit.start, 'Asia/Yekaterinburg'), 'Yekaterinburg (UTC+5)');
    assert.equal(format.formatDay('2026-12-01'), 'Tuesday, 1 December');
    assert.equal(referralTitle(visit.direction), 'Consultation: Неврология');
    assert.equal(remedyFor({ rule: 'token_expired' }).advice, 'Sign in again to continue.');
    assert.match(linesOf(calendar(visit)).join('\n'), /SUMMARY:Appointment: /);
  });
  assert.equal(format.formatDuration(299_100), '5:00');
  assert.equal(format.formatDuration(61_000), '1:01');
});
