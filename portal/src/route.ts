/** The filters of the free cells. A missing field does not restrict the list. */
export interface CellSearch {
  /** The guid of an institution. */
  lpu?: string;
  /** The guid of a doctor, room or piece of equipment. */
  resource?: string;
  /** The first day, `2026-11-30`. */
  from?: string;
}

/** The last change of a visit, which the ticket announces. */
export type News = 'booked' | 'moved' | 'cancelled';

/** A view of the page. Its address is the hash, so that the Back button, links and reloads work. */
export type Route =
  | { view: 'referrals' }
  | { view: 'cells'; direction: string; search: CellSearch }
  | { view: 'appointments' }
  | { view: 'ticket'; appointment: string; news?: News }
  | { view: 'move'; appointment: string; search: CellSearch }
  | { view: 'cancel'; appointment: string }
  | { view: 'notFound' };

/** Parses a hash such as `#/referrals/GUID?from=2026-11-30`. */
export function parseRoute(hash: string): Route {
  const [path = '', query = ''] = hash.replace(/^#\/?/, '').split('?');
  const parameters = new URLSearchParams(query);
  const parameter = (name: string) => parameters.get(name) ?? undefined;
  const search = { lpu: parameter('lpu'), resource: parameter('resource'), from: parameter('from') };
  const [list, guid, action] = path.split('/').map(decodeURIComponent);
  switch (list) {
    case '':
      return { view: 'referrals' };
    case 'referrals':
      return guid === undefined ? { view: 'referrals' } : { view: 'cells', direction: guid, search };
    case 'appointments':
      if (guid === undefined) return { view: 'appointments' };
      if (action === 'move') return { view: 'move', appointment: guid, search };
      if (action === 'cancel') return { view: 'cancel', appointment: guid };
      return { view: 'ticket', appointment: guid, news: parameter('news') as News | undefined };
    default:
      return { view: 'notFound' };
  }
}

/** Returns the address of a view. */
export function href(route: Route): string {
  switch (route.view) {
    case 'cells':
      return `#/referrals/${route.direction}${query({ ...route.search })}`;
    case 'move':
      return `#/appointments/${route.appointment}/move${query({ ...route.search })}`;
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

/** Opens a view. */
export function go(route: Route): void {
  location.hash = href(route);
}
