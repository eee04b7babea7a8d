import { orThrow } from './call.js';
import type { CallOptions, Outcome, Talon } from './call.js';
import type { Operation } from './refusal.js';

/**
 * All items of a list, page by page, as they are asked for: `for await (const direction of items(listDirections, talon, {}))`. A refusal is thrown, as
 * `RefusedError`.
 */
export async function* items<Item, Request extends { query?: { cursor?: string } }, O extends Operation>(
  list: (talon: Talon, request: Request, options?: CallOptions) => Promise<Outcome<{ items: Item[]; next: string | null }, O>>,
  talon: Talon,
  request: Request,
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
