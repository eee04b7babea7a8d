import { orThrow } from './call.js';
import type { CallOptions, Outcome, Talon } from './call.js';
import type { Operation } from './refusal.js';

/** The request of a paged list. It is optional where the list has no required parameters. */
type PageRequest = { query?: { cursor?: string } } | undefined;

/**
 * Yields all items of a list: `for await (const direction of items(listDirections, talon, {}))`.
 * It requests the next page only when the loop needs it. It throws a refusal as `RefusedError`.
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
    yield* page.items;
    if (page.next === null) return;
    cursor = page.next;
  }
}
