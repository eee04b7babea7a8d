// Formats times and numbers in Russian. A time has the UTC offset of its institution and is shown
// in that zone, never in the zone of the browser.
import { formatTime, isWholeDay } from 'talon-sdk';

/** Returns a day with its weekday: «четверг, 26 ноября». */
export const formatDay = (time: string) => formatTime(time, 'ru', { weekday: 'long', day: 'numeric', month: 'long' });

/** Returns a day with its year: «26 ноября 2026». */
export const formatDate = (time: string) =>
  withoutYearSign(formatTime(time, 'ru', { day: 'numeric', month: 'long', year: 'numeric' }));

/** Returns the time of day: «14:15». */
export const formatHour = (time: string) => time.slice(11, 16);

/**
 * Returns the time of a visit: «четверг, 26 ноября 2026, 14:15–14:30». A visit with a day and no
 * time is «четверг, 26 ноября 2026, в течение дня».
 */
export function formatVisit({ start, end }: { start: string; end: string }): string {
  const day = withoutYearSign(
    formatTime(start, 'ru', { weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' }),
  );
  if (isWholeDay({ start, end })) return `${day}, в течение дня`;
  return `${day}, ${formatHour(start)}${end === start ? '' : `–${formatHour(end)}`}`;
}

const withoutYearSign = (day: string) => day.replace(/\sг\.$/, '');

/** Returns a start without its year: «26 ноября, 14:15». */
export const formatStart = (time: string) =>
  `${formatTime(time, 'ru', { day: 'numeric', month: 'long' })}, ${formatHour(time)}`;

/** Returns the UTC offset of a time: «UTC+3», «UTC+5:30». */
export function offsetOf(time: string): string {
  const [, sign, hours, minutes] = /([+-])(\d\d):(\d\d)$/.exec(time) ?? [];
  if (sign === undefined || (hours === '00' && minutes === '00')) return 'UTC';
  return `UTC${sign === '-' ? '−' : '+'}${Number(hours)}${minutes === '00' ? '' : `:${minutes}`}`;
}

/** The cities of Russia's time zones. Browsers do not provide their Russian names. */
const cities: Record<string, string> = {
  'Europe/Kaliningrad': 'Калининград',
  'Europe/Moscow': 'Москва',
  'Europe/Kirov': 'Киров',
  'Europe/Simferopol': 'Симферополь',
  'Europe/Volgograd': 'Волгоград',
  'Europe/Astrakhan': 'Астрахань',
  'Europe/Samara': 'Самара',
  'Europe/Saratov': 'Саратов',
  'Europe/Ulyanovsk': 'Ульяновск',
  'Asia/Yekaterinburg': 'Екатеринбург',
  'Asia/Omsk': 'Омск',
  'Asia/Novosibirsk': 'Новосибирск',
  'Asia/Barnaul': 'Барнаул',
  'Asia/Tomsk': 'Томск',
  'Asia/Novokuznetsk': 'Новокузнецк',
  'Asia/Krasnoyarsk': 'Красноярск',
  'Asia/Irkutsk': 'Иркутск',
  'Asia/Chita': 'Чита',
  'Asia/Yakutsk': 'Якутск',
  'Asia/Khandyga': 'Хандыга',
  'Asia/Vladivostok': 'Владивосток',
  'Asia/Ust-Nera': 'Усть-Нера',
  'Asia/Magadan': 'Магадан',
  'Asia/Sakhalin': 'Южно-Сахалинск',
  'Asia/Srednekolymsk': 'Среднеколымск',
  'Asia/Kamchatka': 'Петропавловск-Камчатский',
  'Asia/Anadyr': 'Анадырь',
};

/** Returns the city and the offset of a time: «Екатеринбург (UTC+5)». The city can be unknown. */
export function zoneOf(time: string, timeZone?: string): string {
  if (timeZone === undefined) return offsetOf(time);
  const city = cities[timeZone];
  return city === undefined ? offsetOf(time) : `${city} (${offsetOf(time)})`;
}

/** Returns the UTC offset of the device at a time, if it differs from the institution's. */
export function deviceOffset(time: string): string | undefined {
  const minutes = -new Date(time).getTimezoneOffset();
  const pad = (number: number) => String(Math.floor(number)).padStart(2, '0');
  const own = offsetOf(`${minutes < 0 ? '-' : '+'}${pad(Math.abs(minutes) / 60)}:${pad(Math.abs(minutes) % 60)}`);
  return own === offsetOf(time) ? undefined : own;
}

/** Returns a number with its noun: `count(3, 'ячейка', 'ячейки', 'ячеек')`. */
export function count(number: number, one: string, few: string, many: string): string {
  const form = new Intl.PluralRules('ru').select(number);
  return `${number} ${form === 'one' ? one : form === 'few' ? few : many}`;
}

/** Returns the day that is some days later: `addDays('2026-11-30', 14)`. */
export function addDays(day: string, days: number): string {
  const date = new Date(`${day}T00:00:00Z`);
  date.setUTCDate(date.getUTCDate() + days);
  return date.toISOString().slice(0, 10);
}
