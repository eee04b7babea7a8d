// Formats times and numbers in the language of the page. A time has the UTC offset of its
// institution and is shown in that zone, never in the zone of the browser. The names of months and
// days are in the dictionaries, because the first use of Intl.DateTimeFormat takes longer than all
// else that a view does: 0.3 s on a phone.
import { dayOf, isWholeDay } from 'talon-sdk';
import { t } from './language.js';

/** The start and the end of a visit. */
type Period = { start: string; end: string };

/** Returns a day without its year: «26 ноября». */
export const formatDayOfMonth = (time: string) =>
  `${Number(time.slice(8, 10))} ${t.months[Number(time.slice(5, 7)) - 1]}`;

/** Returns a day with its year: «26 ноября 2026». */
export const formatDate = (time: string) => `${formatDayOfMonth(time)} ${time.slice(0, 4)}`;

/** Returns a day with its weekday: «четверг, 26 ноября». */
export const formatDay = (time: string) => `${t.weekdays[weekdayOf(time)]}, ${formatDayOfMonth(time)}`;

/** Returns the short name of a day's weekday: «чт». */
export const formatWeekday = (time: string) => t.shortWeekdays[weekdayOf(time)];

/** Returns the weekday of a time, 0 for Sunday. */
const weekdayOf = (time: string) => new Date(dayOf(time)).getUTCDay(); // a day alone is in UTC

/** Returns the time of day: «14:15». */
export const formatHour = (time: string) => time.slice(11, 16);

/**
 * Returns the time of a visit: «четверг, 26 ноября 2026, 14:15–14:30». A visit with a day and no
 * time is «четверг, 26 ноября 2026, в течение дня».
 */
export const formatVisit = (visit: Period) => `${formatVisitDay(visit)}, ${formatVisitHours(visit)}`;

/** Returns the day of a visit: «четверг, 26 ноября 2026». */
export const formatVisitDay = ({ start }: Period) => `${formatDay(start)} ${start.slice(0, 4)}`;

/** Returns the hours of a visit: «14:15–14:30». */
export function formatVisitHours({ start, end }: Period): string {
  if (isWholeDay({ start, end })) return t.wholeDay;
  return `${formatHour(start)}${end === start ? '' : `–${formatHour(end)}`}`;
}

/** Returns a start without its year: «26 ноября, 14:15». */
export const formatStart = (time: string) => `${formatDayOfMonth(time)}, ${formatHour(time)}`;

/** Returns a duration in minutes and seconds: «4:05». */
export function formatDuration(milliseconds: number): string {
  const seconds = Math.ceil(milliseconds / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}

/** Returns the UTC offset of a time: «UTC+3», «UTC+5:30». */
export function offsetOf(time: string): string {
  const [, sign, hours, minutes] = /([+-])(\d\d):(\d\d)$/.exec(time) ?? [];
  if (sign === undefined || (hours === '00' && minutes === '00')) return 'UTC';
  return `UTC${sign === '-' ? '−' : '+'}${Number(hours)}${minutes === '00' ? '' : `:${minutes}`}`;
}

/** Returns the city and the offset of a time: «Екатеринбург (UTC+5)». The city can be unknown. */
export function zoneOf(time: string, timeZone?: string): string {
  const city = timeZone === undefined ? undefined : t.cityOf(timeZone);
  return city === undefined ? offsetOf(time) : `${city} (${offsetOf(time)})`;
}

/** Returns the UTC offset of the device at a time, if it differs from the institution's. */
export function deviceOffset(time: string): string | undefined {
  const minutes = -new Date(time).getTimezoneOffset();
  const pad = (number: number) => String(Math.floor(number)).padStart(2, '0');
  const own = offsetOf(`${minutes < 0 ? '-' : '+'}${pad(Math.abs(minutes) / 60)}:${pad(Math.abs(minutes) % 60)}`);
  return own === offsetOf(time) ? undefined : own;
}

/** Returns the current day in the zone of the device: «2026-11-30». */
export function localToday(): string {
  const now = new Date();
  return dayOf(new Date(now.getTime() - now.getTimezoneOffset() * 60_000).toISOString());
}

/** Returns the day that is some days later: `addDays('2026-11-30', 14)`. */
export function addDays(day: string, days: number): string {
  const date = new Date(day);
  date.setUTCDate(date.getUTCDate() + days);
  return dayOf(date.toISOString());
}
