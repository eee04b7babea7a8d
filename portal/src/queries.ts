// What the views ask Talon, as hooks: lists and single things to show, and what is to be done once.
import { CallError } from 'talon-sdk';
import type { CallOptions, KeyedCallOptions, Operation, Outcome, Refusal } from 'talon-sdk';
import { useEffect, useRef, useState } from 'preact/hooks';

/** Why there is no answer to show: Talon has refused, or its answer was lost. */
export type Failure = { refusal: Refusal; retryAfter?: number } | { lost: unknown; undone?: boolean };

/** What became of a call, or that nothing has yet. */
interface Settled<Data> {
  data?: Data;
  failure?: Failure;
}

export async function settle<Data, O extends Operation>(call: Promise<Outcome<Data, O>>): Promise<Settled<Data>> {
  try {
    const outcome = await call;
    return outcome.ok
      ? { data: outcome.data }
      : { failure: { refusal: outcome.refusal as Refusal, retryAfter: outcome.retryAfter } };
  } catch (lost) {
    if (!(lost instanceof CallError)) console.error(lost);
    return { failure: { lost } };
  }
}

export interface Answer<Data> extends Settled<Data> {
  again: () => void;
}

/** Asks when the view appears, and anew when an input changes. */
export function useAnswer<Data, O extends Operation>(
  ask: (options: CallOptions) => Promise<Outcome<Data, O>>,
  inputs: unknown[],
): Answer<Data> {
  const [settled, setSettled] = useState<Settled<Data>>({});
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    const stop = new AbortController();
    setSettled({});
    settle(ask({ signal: stop.signal })).then((result) => stop.signal.aborted || setSettled(result));
    return () => stop.abort();
  }, [...inputs, turn]);
  return { ...settled, again: () => setTurn(turn + 1) };
}

interface Page<Item> {
  items: Item[];
  next: string | null;
}

export interface Pages<Item, P> {
  items: Item[];
  /** The last page that has come. */
  last?: P;
  pending: boolean;
  failure?: Failure;
  /** Asks for the next page; there is none where this is not there. */
  more?: () => void;
  /** Asks for the page that failed once more. */
  again: () => void;
}

/** Asks for the first page when the view appears, for the next ones when told, and from the start when an input changes. */
export function usePages<Item, P extends Page<Item>, O extends Operation>(
  ask: (cursor: string | undefined, options: CallOptions) => Promise<Outcome<P & Page<Item>, O>>,
  inputs: unknown[],
): Pages<Item, P> {
  const [pages, setPages] = useState<P[]>([]);
  const [failure, setFailure] = useState<Failure>();
  const [pending, setPending] = useState(true);
  const stop = useRef(new AbortController());

  const load = async (before: P[]) => {
    const { signal } = stop.current;
    setPending(true);
    setFailure(undefined);
    const result = await settle(ask(before.at(-1)?.next ?? undefined, { signal }));
    if (signal.aborted) return;
    setPending(false);
    setFailure(result.failure);
    if (result.data) setPages([...before, result.data]);
  };
  useEffect(() => {
    stop.current = new AbortController();
    setPages([]);
    load([]);
    return () => stop.current.abort();
  }, inputs);

  const last = pages.at(-1);
  const more = last?.next && !pending ? () => load(pages) : undefined;
  return { items: pages.flatMap((page) => page.items), last, pending, failure, more, again: () => load(pages) };
}

export interface Deed {
  /** Does it; while it is being done, nothing. */
  run: () => void;
  pending: boolean;
  failure?: Failure;
}

/**
 * Something to be done once. Where its answer is lost, `look` finds out whether it was done: it gives what `act` would have. What is tried again after that
 * bears the same Idempotency-Key, unless an input has changed: then it is another request.
 */
export function useDeed<Data, O extends Operation>(
  act: (options: KeyedCallOptions) => Promise<Outcome<Data, O>>,
  done: (data: Data) => void,
  look?: () => Promise<Data | undefined>,
  inputs: unknown[] = [],
): Deed {
  const [pending, setPending] = useState(false);
  const [failure, setFailure] = useState<Failure>();
  const busy = useRef(false); // at once, while the state comes with the next rendering: a double click is one
  const key = useRef<string | undefined>(undefined);
  const here = useRef(true);
  useEffect(() => () => void (here.current = false), []);
  useEffect(() => void (key.current = undefined), inputs);

  const perform = async (): Promise<Settled<Data>> => {
    const result = await settle(act({ idempotencyKey: key.current }));
    if (!result.failure || !('lost' in result.failure) || !look) return result;
    const { lost } = result.failure;
    if (lost instanceof CallError) key.current = lost.idempotencyKey;
    try {
      const data = await look();
      return data === undefined ? { failure: { lost, undone: true } } : { data };
    } catch {
      return { failure: { lost } }; // what is shown says that it is not known
    }
  };
  const run = async () => {
    if (busy.current) return;
    busy.current = true;
    setPending(true);
    setFailure(undefined);
    const result = await perform();
    busy.current = false;
    if (!here.current) return;
    setPending(false);
    setFailure(result.failure);
    if (!result.failure) done(result.data as Data);
  };
  return { run, pending, failure };
}
