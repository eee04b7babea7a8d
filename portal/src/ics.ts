import { isWholeDay } from 'talon-sdk';
import type { PatientAppointment } from 'talon-sdk';
import { formatVisit, zoneOf } from './format.js';
import { referralTitle } from './labels.js';
import { language, t } from './language.js';

/** Returns a visit as a calendar file (RFC 5545), with reminders. Its times are in UTC. */
export function calendar(visit: PatientAppointment): string {
  const summary = text(t.event(visit.resource.name));
  const isCancelled = visit.status === 'Cancelled';
  const lines = [
    'BEGIN:VCALENDAR',
    'VERSION:2.0',
    `PRODID:-//Talon//Talon portal//${language.toUpperCase()}`,
    'METHOD:PUBLISH',
    'BEGIN:VEVENT',
    `UID:${visit.guid}`,
    `DTSTAMP:${utc(visit.updateTime)}`,
    `SEQUENCE:${sequence(visit)}`,
    ...times(visit),
    `SUMMARY:${summary}`,
    `LOCATION:${text(place(visit))}`,
    `DESCRIPTION:${text(description(visit))}`,
    `STATUS:${isCancelled ? 'CANCELLED' : 'CONFIRMED'}`,
    ...(isCancelled ? [] : reminders(visit).flatMap((trigger) => alarm(trigger, summary))),
    'END:VEVENT',
    'END:VCALENDAR',
  ];
  return lines.map((line) => `${fold(line)}\r\n`).join('');
}

function times(visit: PatientAppointment): string[] {
  const { start, end } = visit;
  if (isWholeDay(visit)) return [`DTSTART;VALUE=DATE:${date(start)}`, `DTEND;VALUE=DATE:${date(end)}`];
  return start === end ? [`DTSTART:${utc(start)}`] : [`DTSTART:${utc(start)}`, `DTEND:${utc(end)}`];
}

/** Returns when to remind, relative to the start. A whole day starts at midnight. */
const reminders = (visit: PatientAppointment) => (isWholeDay(visit) ? ['-PT12H'] : ['-P1D', '-PT2H']);

const alarm = (trigger: string, summary: string) => [
  'BEGIN:VALARM',
  'ACTION:DISPLAY',
  `TRIGGER:${trigger}`,
  `DESCRIPTION:${summary}`,
  'END:VALARM',
];

/** Returns where to go: «Поликлиника, ул. Садовая, 1, кабинет 214». */
const place = ({ lpu, resource }: PatientAppointment) =>
  [lpu.name, lpu.address, resource.room && t.room(resource.room)].filter(Boolean).join(', ');

function description(visit: PatientAppointment): string {
  const { start, lpu, direction, preparation, comment } = visit;
  return [
    referralTitle(direction),
    t.eventReferral(direction.number),
    t.eventTime(formatVisit(visit), zoneOf(start, lpu.timeZone)),
    preparation && t.eventPreparation(preparation),
    lpu.phone && t.eventPhone(lpu.phone),
    comment,
  ]
    .filter(Boolean)
    .join('\n');
}

/** Returns a number that grows with each move, so that a calendar recognises the newer file. */
function sequence({ createTime, updateTime }: PatientAppointment): number {
  return Math.max(0, Math.floor((Date.parse(updateTime) - Date.parse(createTime)) / 1000));
}

const utc = (time: string) => new Date(time).toISOString().replace(/[-:]|\.\d{3}/g, '');

const date = (time: string) => time.slice(0, 10).replaceAll('-', '');

/** Escapes the special characters of a TEXT value. */
const text = (value: string) => value.replace(/[\\;,]/g, '\\$&').replace(/\r\n|\r|\n/g, '\\n');

/** Folds a line into pieces of at most 75 octets. It does not split characters. */
function fold(line: string): string {
  const encoder = new TextEncoder();
  const pieces = [''];
  let length = 0;
  for (const character of line) {
    const octets = encoder.encode(character).length;
    if (length + octets > 75) {
      pieces.push('');
      length = 1; // the space at the start of the next line
    }
    pieces[pieces.length - 1] += character;
    length += octets;
  }
  return pieces.join('\r\n ');
}
