// Formats times and numbers in the language of the page. A time has the UTC offset of its
// institution and is shown in that zone, never in the zone of the browser.
import { dayOf, formatTime, isWholeDay } from 'talon-sdk';
import { language, t } from './language.js';

/** The start and the end of a visit. */
type Period = { start: string; end: string };

/** Formats a time by Intl. English is that of Europe: the day before the month, 24 hours. */
const format = (time: string, fields: Omit<Intl.DateTimeFormatOptions, 'timeZone' | 'timeZoneName'>) =>
  formatTime(time, language === 'ru' ? 'ru' : 'en-GB', fields).replace(/\sг\.$/, '');

/** Returns a day with its weekday: «четверг, 26 ноября». */
export const formatDay = (time: string) => format(time, { weekday: 'long', day: 'numeric', month: 'long' });

/** Returns a day with its year: «26 ноября 2026». */
export const formatDate = (time: string) => format(time, { day: 'numeric', month: 'long', year: 'numeric' });

/** Returns a day without its year: «26 ноября». */
export const formatDayOfMonth = (time: string) => format(time, { day: 'numeric', month: 'long' });

/** Returns the short name of a day's weekday: «чт». */
export const formatWeekday = (time: string) => format(time, { weekday: 'short' });

/** Returns the time of day: «14:15». */
export const formatHour = (time: string) => time.slice(11, 16);

/**
 * Returns the time of a visit: «четверг, 26 ноября 2026, 14:15–14:30». A visit with a day and no
 * time is «четверг, 26 ноября 2026, в течение дня».
 */
export const formatVisit = (visit: Period) => `${formatVisitDay(visit)}, ${formatVisitHours(visit)}`;

/** Returns the day of a visit: «четверг, 26 ноября 2026». */
export const formatVisitDay = ({ start }: Period) =>
  format(start, { weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' });

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

/** Returns the day that is some days later: `addDays('2026-11-30', 14)`. */
export function addDays(day: string, days: number): string {
  const date = new Date(`${day}T00:00:00Z`);
  date.setUTCDate(date.getUTCDate() + days);
  return dayOf(date.toISOString());
}

/** Returns the midnight of a day, for the functions above. */
export const midnight = (day: string) => `${day}T00:00:00`;
