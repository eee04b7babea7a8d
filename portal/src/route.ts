/** A part of the day, by the start of a visit. */
export const partsOfDay = ['morning', 'day', 'evening'] as const;
export type PartOfDay = (typeof partsOfDay)[number];

/** The filters of the free cells. A missing field does not restrict the list. */
export interface CellSearch {
  /** The guid of an institution. */
  lpu?: string;
  /** The guid of a doctor, room or piece of equipment. */
  resource?: string;
  part?: PartOfDay;
  /** The first day of the listed week, `2026-11-30`. */
  from?: string;
  /** The day whose cells are shown. By default it is the first one with free cells. */
  day?: string;
}

/** The last change of a visit, which the ticket announces. */
const kindsOfNews = ['booked', 'moved', 'cancelled'] as const;
export type News = (typeof kindsOfNews)[number];

const newsOf = (name?: string) => kindsOfNews.find((kind) => kind === name);

/** A view of the page. Its address is the hash, so that the Back button, links and reloads work. */
export type Route =
  | { view: 'referrals' }
  | { view: 'cells'; direction: string; search: CellSearch }
  | { view: 'institutions'; direction: string }
  | { view: 'appointments' }
  | { view: 'ticket'; appointment: string; news?: News }
  | { view: 'move'; appointment: string; search: CellSearch }
  | { view: 'moveInstitutions'; appointment: string }
  | { view: 'cancel'; appointment: string }
  | { view: 'notFound' };

/** Parses a hash such as `#/referrals/GUID?from=2026-11-30`. */
export function parseRoute(hash: string): Route {
  const [path = '', query = ''] = hash.replace(/^#\/?/, '').split('?');
  const parameters = new URLSearchParams(query);
  const parameter = (name: string) => parameters.get(name) ?? undefined;
  const search = {
    lpu: parameter('lpu'),
    resource: parameter('resource'),
    part: partsOfDay.find((part) => part === parameter('part')),
    from: dayIn(parameter('from')),
    day: dayIn(parameter('day')),
  };
  const [list, guid = '', ...actions] = path.split('/');
  switch ([list, guid && ':guid', ...actions].filter(Boolean).join('/')) {
    case '':
    case 'referrals':
      return { view: 'referrals' };
    case 'referrals/:guid':
      return { view: 'cells', direction: guid, search };
    case 'referrals/:guid/institutions':
      return { view: 'institutions', direction: guid };
    case 'appointments':
      return { view: 'appointments' };
    case 'appointments/:guid':
      return { view: 'ticket', appointment: guid, news: newsOf(parameter('news')) };
    case 'appointments/:guid/move':
      return { view: 'move', appointment: guid, search };
    case 'appointments/:guid/move/institutions':
      return { view: 'moveInstitutions', appointment: guid };
    case 'appointments/:guid/cancel':
      return { view: 'cancel', appointment: guid };
    default:
      return { view: 'notFound' };
  }
}

/** Returns a parameter if it is a day, `2026-11-30`. */
const dayIn = (value: string | undefined) =>
  value !== undefined && /^\d{4}-\d\d-\d\d$/.test(value) && !Number.isNaN(Date.parse(value)) ? value : undefined;

/** Returns the address of a view. */
export function href(route: Route): string {
  switch (route.view) {
    case 'cells':
      return `#/referrals/${route.direction}${query({ ...route.search })}`;
    case 'institutions':
      return `#/referrals/${route.direction}/institutions`;
    case 'move':
      return `#/appointments/${route.appointment}/move${query({ ...route.search })}`;
    case 'moveInstitutions':
      return `#/appointments/${route.appointment}/move/institutions`;
    case 'cancel':
      return `#/appointments/${route.appointment}/cancel`;
    case 'ticket':
      return `#/appointments/${route.appointment}${query({ news: route.news })}`;
    case 'appointments':
      return '#/appointments';
    case 'referrals':
    case 'notFound':
      return '#/referrals';
  }
}

function query(parameters: Record<string, string | undefined>): string {
  const given = Object.entries(parameters).filter((entry): entry is [string, string] => Boolean(entry[1]));
  return given.length === 0 ? '' : `?${new URLSearchParams(given)}`;
}

/** Opens a view in place of the current one, which the Back button then skips. */
export function go(route: Route): void {
  location.replace(href(route));
}
