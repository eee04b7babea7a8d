import { orThrow } from './call.js';
import type { CallOptions, Outcome, Talon } from './call.js';
import type { Operation } from './refusal.js';

/** What a list of pages takes; a list that can be asked for without anything takes `undefined`, too. */
type PageRequest = { query?: { cursor?: string } } | undefined;

/**
 * All items of a list, page by page, as they are asked for: `for await (const direction of items(listDirections, talon, {}))`. A refusal is thrown, as
 * `RefusedError`.
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
