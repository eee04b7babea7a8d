import { orThrow } from './call.js';
import type { CallOptions, Talon } from './call.js';
import { listEvents } from './gen/operations.gen.js';
import type { EventPage, ListEventsData } from './gen/types.gen.js';

/** How many seconds a request waits for the next event. It is less than the default `tryTimeout`. */
const WAIT = 10;

/**
 * Follows the feed of events: `for await (const { items, next } of followEvents(talon, { after }))`.
 * Process the events, then store `next`, and begin there after a restart. It yields each response,
 * also one without events, and requests the next one when the loop wants it. It never ends by itself.
 *
 * It throws a refusal as `RefusedError`, for example `events_expired`, and the errors of a call
 * unchanged: begin again with the last `next`. The limits in `options` apply to each request, the
 * `signal` to all of them.
 */
export async function* followEvents(
  talon: Talon,
  query: NonNullable<ListEventsData['query']> = {},
  options?: CallOptions,
): AsyncGenerator<EventPage, never, undefined> {
  let after = query.after;
  for (;;) {
    const page: EventPage = orThrow(await listEvents(talon, { query: { wait: WAIT, ...query, after } }, options));
    yield page;
    after = page.next;
  }
}
