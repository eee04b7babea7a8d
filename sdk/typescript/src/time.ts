// Every time of an answer bears the offset of its institution, so its date and hours are there to read: nothing here asks for the zone of the browser.

type Format = Omit<Intl.DateTimeFormatOptions, 'timeZone' | 'timeZoneName'>;
type ZonedFormat = Intl.DateTimeFormatOptions & { timeZone: string };

/**
 * A time of an answer in words, as the clocks of its institution show it: `formatTime(slot.start, 'ru', { dateStyle: 'long', timeStyle: 'short' })`.
 * To name the zone as well, give it, as `lpu.timeZone` does: `{ timeStyle: 'long', timeZone: slot.lpu.timeZone }`.
 */
export function formatTime(time: string, locales: Intl.LocalesArgument, format: Format | ZonedFormat): string {
  if ('timeZone' in format) return new Intl.DateTimeFormat(locales, format).format(new Date(time));
  const asUtc = new Date(`${time.slice(0, 19)}Z`);
  return new Intl.DateTimeFormat(locales, { ...format, timeZone: 'UTC' }).format(asUtc);
}

/** The day of a time, in the institution's own zone: `2019-08-21`. */
export function dayOf(time: string): string {
  return time.slice(0, 10);
}

/** The day that it is now in a zone, such as `lpu.timeZone`; to compare with `dayOf`. */
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

/** What begins on the same day, in the institution's own zone, together; the days in the order of their first. */
export function byDay<T extends { start: string }>(items: Iterable<T>): Map<string, T[]> {
  const days = new Map<string, T[]>();
  for (const item of items) {
    const day = dayOf(item.start);
    const of = days.get(day);
    if (of) of.push(item);
    else days.set(day, [item]);
  }
  return days;
}

/** A visit on a day without a time: booked out of schedule, it lasts from midnight to midnight. Show its day alone. */
export function isWholeDay({ start, end }: { start: string; end: string }): boolean {
  const midnight = (time: string) => time.slice(11, 19) === '00:00:00';
  return midnight(start) && midnight(end) && dayOf(start) < dayOf(end);
}
