import { AbortError, TimeoutError } from './errors.js';

/** The longest delay of a timer in milliseconds. A longer one would fire at once. */
export const MAX_DELAY = 2 ** 31 - 1;

/**
 * Runs the work with a time limit in milliseconds. Returns its result, or a `TimeoutError` when the
 * limit is over. Throws an `AbortError` when the caller's signal aborts. It does not wait until the
 * work has stopped, but aborts the signal `stop` that the work receives.
 */
export async function withTimeout<T>(
  milliseconds: number,
  signal: AbortSignal | undefined,
  work: (stop: AbortSignal) => Promise<T>,
): Promise<T | TimeoutError> {
  const aborted = () => new AbortError('aborted by the caller', { cause: signal?.reason });
  if (signal?.aborted) throw aborted();
  const stop = new AbortController();
  let cleanUp = () => {};
  try {
    return await new Promise<T | TimeoutError>((resolve, reject) => {
      const timer = setTimeout(
        () => resolve(new TimeoutError(`no response within ${Math.round(milliseconds)} ms`)),
        Math.min(milliseconds, MAX_DELAY),
      );
      const onAbort = () => reject(aborted());
      signal?.addEventListener('abort', onAbort);
      cleanUp = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
      };
      work(stop.signal).then(resolve, reject);
    });
  } finally {
    cleanUp();
    stop.abort();
  }
}

/** Waits for the given number of milliseconds. Throws an `AbortError` when the signal aborts. */
export async function sleep(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  await withTimeout(milliseconds, signal, () => new Promise<never>(() => {}));
}
