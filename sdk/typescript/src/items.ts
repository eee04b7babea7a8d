import { orThrow } from './call.js';
import type { CallOptions, Outcome, Talon } from './call.js';
import { UnexpectedAnswerError } from './errors.js';
import type { Operation } from './refusal.js';

/** The request of a paged list. It is optional where the list has no required parameters. */
type PageRequest = { query?: { cursor?: string } } | undefined;

/**
 * Yields all items of a list: `for await (const direction of items(listDirections, talon, {}))`. It
 * accepts each operation with a `cursor`, and keeps one page in memory.
 *
 * It requests a page only when the loop wants its first item. It stops with the first error: it
 * throws a refusal as `RefusedError`, and the errors of a call unchanged. The limits in `options`
 * apply to each page, the `signal` to all of them.
 */
export async function* items<Item, Request extends PageRequest, O extends Operation>(
  list: (
    talon: Talon,
    request: Request,
    options?: CallOptions,
  ) => Promise<Outcome<{ items: Item[]; next: string | null }, O>>,
  talon: Talon,
  request: NoInfer<NonNullable<Request>>,
  options?: CallOptions,
): AsyncGenerator<Item, void, undefined> {
  let cursor = request.query?.cursor;
  for (;;) {
    const page = orThrow(await list(talon, { ...request, query: { ...request.query, cursor } }, options));
    // A proxy that ignores the query would return the same page for ever.
    if (page.next !== null && page.next === cursor) throw new UnexpectedAnswerError(200);
    yield* page.items;
    if (page.next === null) return;
    cursor = page.next;
  }
}
