import { isWholeDay } from 'talon-sdk';
import type { PatientAppointment } from 'talon-sdk';
import { formatVisit, zoneOf } from './format.js';
import { referralTitle } from './labels.js';

/** Returns a visit as a calendar file (RFC 5545). Its times are in UTC. */
export function calendar(visit: PatientAppointment): string {
  const lines = [
    'BEGIN:VCALENDAR',
    'VERSION:2.0',
    'PRODID:-//Talon//Talon portal//RU',
    'METHOD:PUBLISH',
    'BEGIN:VEVENT',
    `UID:${visit.guid}`,
    `DTSTAMP:${utc(visit.updateTime)}`,
    `SEQUENCE:${sequence(visit)}`,
    ...times(visit),
    `SUMMARY:${text(`Приём: ${visit.resource.name}`)}`,
    `LOCATION:${text(visit.lpu.name)}`,
    `DESCRIPTION:${text(description(visit))}`,
    `STATUS:${visit.status === 'Cancelled' ? 'CANCELLED' : 'CONFIRMED'}`,
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

function description(visit: PatientAppointment): string {
  return [
    referralTitle(visit.direction),
    `Направление № ${visit.direction.number}`,
    `${formatVisit(visit)}, время: ${zoneOf(visit.start, visit.lpu.timeZone)}`,
    visit.comment,
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
