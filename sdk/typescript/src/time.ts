// All times of a response have the UTC offset of their institution, so the date and the hour can be
// read from the text. The functions below never use the time zone of the browser.

type Format = Omit<Intl.DateTimeFormatOptions, 'timeZone' | 'timeZoneName'>;
type ZonedFormat = Intl.DateTimeFormatOptions & { timeZone: string };

/**
 * Formats a time of a response in the time zone of its institution:
 * `formatTime(slot.start, 'ru', { dateStyle: 'long', timeStyle: 'short' })`.
 * To include the name of the zone, pass the zone, which is in `lpu.timeZone`:
 * `{ timeStyle: 'long', timeZone: slot.lpu.timeZone }`.
 */
export function formatTime(time: string, locales: Intl.LocalesArgument, format: Format | ZonedFormat): string {
  if ('timeZone' in format) return new Intl.DateTimeFormat(locales, format).format(new Date(time));
  const asUtc = new Date(`${time.slice(0, 19)}Z`);
  return new Intl.DateTimeFormat(locales, { ...format, timeZone: 'UTC' }).format(asUtc);
}

/** Returns the day of a time in the zone of its institution: `2019-08-21`. */
export function dayOf(time: string): string {
  return time.slice(0, 10);
}

/** Returns the current day in a zone such as `lpu.timeZone`, to compare with `dayOf`. */
export function today(timeZone: string, now = new Date()): string {
  const parts = new Intl.DateTimeFormat('en', {
    timeZone,
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
  }).formatToParts(now);
  const part = (type: Intl.DateTimeFormatPartTypes) => parts.find((each) => each.type === type)?.value;
  return `${part('year')}-${part('month')}-${part('day')}`;
}

/**
 * Groups items by the day of their start, in the zone of the institution. The days have the order
 * of their first items.
 */
export function byDay<T extends { start: string }>(items: Iterable<T>): Map<string, T[]> {
  const days = new Map<string, T[]>();
  for (const item of items) {
    const day = dayOf(item.start);
    const sameDay = days.get(day);
    if (sameDay) sameDay.push(item);
    else days.set(day, [item]);
  }
  return days;
}

/**
 * Returns whether a visit has a day but no time. A visit that is booked out of schedule lasts from
 * midnight to midnight. Show only its day.
 */
export function isWholeDay({ start, end }: { start: string; end: string }): boolean {
  const isMidnight = (time: string) => time.slice(11, 19) === '00:00:00';
  return isMidnight(start) && isMidnight(end) && dayOf(start) < dayOf(end);
}
