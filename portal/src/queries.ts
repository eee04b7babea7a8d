// Hooks that call Talon: one response, a list in pages, or a request that changes data.
import { CallError } from 'talon-sdk';
import type { CallOptions, KeyedCallOptions, Operation, Outcome, Refusal } from 'talon-sdk';
import { useEffect, useRef, useState } from 'preact/hooks';

/**
 * Why a call has no data. Either Talon rejected the request, or the call threw an error. With
 * `notExecuted`, a check after the error has shown that Talon did not execute the request.
 */
export type Failure = { refusal: Refusal; retryAfter?: number } | { error: unknown; notExecuted?: boolean };

/** The result of a call. Both fields are missing while the call runs. */
interface Result<Data> {
  data?: Data;
  failure?: Failure;
}

/** Waits for a call. Returns its data or its failure, and never rejects. */
export async function settle<Data, O extends Operation>(call: Promise<Outcome<Data, O>>): Promise<Result<Data>> {
  try {
    const outcome = await call;
    if (outcome.ok) return { data: outcome.data };
    return { failure: { refusal: outcome.refusal as Refusal, retryAfter: outcome.retryAfter } };
  } catch (error) {
    if (!(error instanceof CallError)) console.error(error);
    return { failure: { error } };
  }
}

export interface Query<Data> extends Result<Data> {
  /** Sends the request once more. */
  retry: () => void;
}

/** Sends a request when the view appears and when an input changes. */
export function useQuery<Data, O extends Operation>(
  request: (options: CallOptions) => Promise<Outcome<Data, O>>,
  inputs: unknown[],
): Query<Data> {
  const [result, setResult] = useState<Result<Data>>({});
  const [attempt, setAttempt] = useState(0);
  useEffect(() => {
    const stop = new AbortController();
    setResult({});
    settle(request({ signal: stop.signal })).then((settled) => stop.signal.aborted || setResult(settled));
    return () => stop.abort();
  }, [...inputs, attempt]);
  return { ...result, retry: () => setAttempt(attempt + 1) };
}

interface Page<Item> {
  items: Item[];
  next: string | null;
}

export interface Pages<Item, P> {
  /** The items of all loaded pages. */
  items: Item[];
  /** The last loaded page. */
  last?: P;
  pending: boolean;
  failure?: Failure;
  /** Loads the next page. It is missing while a page loads and after the last page. */
  loadMore?: () => void;
  /** Loads the failed page once more. */
  retry: () => void;
}

/** Loads the first page of a list when the view appears and when an input changes. */
export function usePages<Item, P extends Page<Item>, O extends Operation>(
  request: (cursor: string | undefined, options: CallOptions) => Promise<Outcome<P & Page<Item>, O>>,
  inputs: unknown[],
): Pages<Item, P> {
  const [pages, setPages] = useState<P[]>([]);
  const [failure, setFailure] = useState<Failure>();
  const [pending, setPending] = useState(true);
  const stop = useRef(new AbortController());

  const loadAfter = async (loaded: P[]) => {
    const { signal } = stop.current;
    setPending(true);
    setFailure(undefined);
    const result = await settle(request(loaded.at(-1)?.next ?? undefined, { signal }));
    if (signal.aborted) return;
    setPending(false);
    setFailure(result.failure);
    if (result.data) setPages([...loaded, result.data]);
  };
  useEffect(() => {
    stop.current = new AbortController();
    setPages([]);
    loadAfter([]);
    return () => stop.current.abort();
  }, inputs);

  const last = pages.at(-1);
  return {
    items: pages.flatMap((page) => page.items),
    last,
    pending,
    failure,
    loadMore: last?.next && !pending ? () => loadAfter(pages) : undefined,
    retry: () => loadAfter(pages),
  };
}

/** Loads pages until there are `most` items. Returns whether it still does. */
export function useLoading<P extends { next: string | null }>(pages: Pages<unknown, P>, most: number): boolean {
  const { items, last, pending, failure, loadMore } = pages;
  useEffect(() => {
    if (items.length < most) loadMore?.();
  }, [last]);
  return items.length < most && (pending || (last?.next != null && !failure));
}

export interface Mutation {
  /** Sends the request. It has no effect while a request is pending. */
  run: () => void;
  pending: boolean;
  failure?: Failure;
}

/**
 * Sends a request that changes data. If its response is lost, `findResult` checks whether Talon
 * executed the request, and returns its result or `undefined`. A retry after a lost response sends
 * the same Idempotency-Key, unless an input has changed: then it is another request.
 */
export function useMutation<Data, O extends Operation>(
  request: (options: KeyedCallOptions) => Promise<Outcome<Data, O>>,
  onSuccess: (data: Data) => void,
  findResult?: () => Promise<Data | undefined>,
  inputs: unknown[] = [],
): Mutation {
  const [pending, setPending] = useState(false);
  const [failure, setFailure] = useState<Failure>();
  const isRunning = useRef(false); // `pending` changes only with the next rendering, after a double click
  const key = useRef<string | undefined>(undefined);
  const isMounted = useRef(true);
  useEffect(() => () => void (isMounted.current = false), []);
  useEffect(() => void (key.current = undefined), inputs);

  const send = async (): Promise<Result<Data>> => {
    const result = await settle(request({ idempotencyKey: key.current }));
    if (!result.failure || !('error' in result.failure) || !findResult) return result;
    const { error } = result.failure;
    if (error instanceof CallError) key.current = error.idempotencyKey;
    try {
      const data = await findResult();
      return data === undefined ? { failure: { error, notExecuted: true } } : { data };
    } catch {
      return { failure: { error } }; // the message tells the patient that the result is unknown
    }
  };
  const run = async () => {
    if (isRunning.current) return;
    isRunning.current = true;
    setPending(true);
    setFailure(undefined);
    const result = await send();
    isRunning.current = false;
    if (!isMounted.current) return;
    setPending(false);
    setFailure(result.failure);
    if (!result.failure) onSuccess(result.data as Data);
  };
  return { run, pending, failure };
}
