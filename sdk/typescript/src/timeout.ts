import { AbortError, TimeoutError } from './errors.js';

/** What timers take at most; a longer wait would end at once. */
const LONGEST = 2 ** 31 - 1;

/**
 * Does the work, and stops it when its time is over, which is returned, or when the caller aborts, which is thrown. Either comes at once, whether the work heeds
 * `stop` or not.
 */
export async function within<T>(
  milliseconds: number,
  signal: AbortSignal | undefined,
  work: (stop: AbortSignal) => Promise<T>,
): Promise<T | TimeoutError> {
  const aborted = () => new AbortError('aborted by the caller', { cause: signal?.reason });
  if (signal?.aborted) throw aborted();
  const stop = new AbortController();
  let end = () => {};
  try {
    return await new Promise<T | TimeoutError>((resolve, reject) => {
      const timer = setTimeout(
        () => resolve(new TimeoutError(`no answer within ${Math.round(milliseconds)} ms`)),
        Math.min(milliseconds, LONGEST),
      );
      const onAbort = () => reject(aborted());
      signal?.addEventListener('abort', onAbort);
      end = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
      };
      work(stop.signal).then(resolve, reject);
    });
  } finally {
    end();
    stop.abort();
  }
}

/** Work that never ends: `within` then waits. */
export const never = () => new Promise<never>(() => {});
