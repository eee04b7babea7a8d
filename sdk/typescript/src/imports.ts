import { call } from './call.js';
import type { CallOptions, Outcome, Talon } from './call.js';
import { TimeoutError } from './errors.js';
import { getImport } from './gen/operations.gen.js';
import { createImport } from './gen/sdk.gen.js';
import type { CreateImportData, Import } from './gen/types.gen.js';
import { MAX_DELAY, sleep } from './timeout.js';

/** A line of an NDJSON file: a request of an operation of the registry. */
export interface ImportMessage {
  /** The HTTP method: `PUT`. */
  Method: string;
  /** The path with its query: `/registry/lpus/…/schedule?from=…`. */
  Path: string;
  /** The body, for example a `ScheduleRequest`. */
  Body?: object;
}

/** A part of a file: a message, or text or bytes that may end anywhere but within a character. */
export type ImportChunk = ImportMessage | string | Uint8Array;

/**
 * A file. A string or a `Blob` can be sent again, all others are read once: a stream, or a loop over
 * parts of the file, such as a generator or a stream of Node.
 */
export type ImportSource =
  | string
  | Blob
  | ReadableStream<Uint8Array>
  | Iterable<ImportChunk>
  | AsyncIterable<ImportChunk>;

/** The options of `importFile`. */
export interface ImportOptions extends NonNullable<CreateImportData['query']> {
  /** The format of the file. `ndjson` (default): a line is a message. `csv`: a row is what `of` says. */
  format?: 'ndjson' | 'csv';
  /**
   * Compresses the file while it is sent. Where the platform cannot compress a stream, the file is
   * sent as it is.
   */
  compression?: 'gzip';
  /** Aborts the upload. Nothing of the file is applied then. */
  signal?: AbortSignal;
}

/** The options of `finishImport`. The limits apply to each request, the `signal` to all of them. */
export interface FinishOptions extends CallOptions {
  /** Is called with each state of the import, also the last one. */
  onProgress?: (state: Import) => void;
}

/**
 * Sends a file of messages, which Talon then applies in the background: pass the `guid` of the
 * result to `finishImport`. The source is read while it is sent, so that its size does not matter.
 *
 * The upload has no time limit. It throws a `TimeoutError` if the service takes no data, or does not
 * respond after the last of them, within `tryTimeout` of the client. It throws an error of the source
 * unchanged, and nothing is applied then. After a `NetworkError` or a `TimeoutError` it is unknown
 * whether the import exists. Send the file again: what is already applied changes nothing.
 *
 * A source that is read once is sent once: its refusals are returned and not retried. Browsers that
 * cannot send streams accept only a string or a `Blob`, such as the file of an input. For it they
 * have no time limit at all.
 */
export async function importFile(
  talon: Talon,
  source: ImportSource,
  options: ImportOptions = {},
): Promise<Outcome<Import, 'createImport'>> {
  const { format, compression, signal, ...query } = options;
  const isFile = typeof source === 'string' || source instanceof Blob;
  const streams = canSendStreams();
  if (!isFile && !streams) throw new TypeError('this browser cannot send a stream; pass a string or a Blob');
  const gzip = compression === 'gzip' && streams && 'CompressionStream' in globalThis;
  const headers = {
    'Content-Type': format === 'csv' ? 'text/csv' : 'application/x-ndjson',
    ...(gzip && { 'Content-Encoding': 'gzip' }),
  };
  const send = async (given: Parameters<typeof createImport>[0]) => {
    const options = { ...given, headers, bodySerializer: null };
    if (isFile && !streams) return createImport({ ...options, body: source as string });
    const upload = openUpload(isFile ? new Blob([source]).stream() : source, talon.tryTimeout ?? 15_000);
    const compressor = gzip && (new CompressionStream('gzip') as TransformStream<Uint8Array, Uint8Array>);
    const body = compressor ? upload.body.pipeThrough(compressor) : upload.body;
    const streamed = { ...options, body: body as unknown as string, duplex: 'half' };
    try {
      const result = await Promise.race([createImport(streamed), upload.stalled]);
      upload.throwFailure();
      return result;
    } finally {
      upload.end();
    }
  };
  const limits = { signal, tryTimeout: Infinity, timeout: Infinity };
  return call<Import, 'createImport'>(talon, send, isFile ? 'unsafe' : 'once', { query }, limits);
}

/**
 * Waits until an import has finished and returns its state, which counts the good and the bad lines:
 * `items(listImportErrors, talon, { path: { importGuid } })` yields the bad ones. The `state` of a
 * finished import need not be `completed`. It requests the state several times a second at first, and
 * later every 5 seconds. The import does not depend on it: after an error or an abort, call it again.
 */
export async function finishImport(
  talon: Talon,
  importGuid: string,
  options: FinishOptions = {},
): Promise<Outcome<Import, 'getImport'>> {
  const { onProgress, ...limits } = options;
  for (let pause = 200; ; pause = Math.min(pause * 1.5, 5_000)) {
    const outcome = await getImport(talon, { path: { importGuid } }, limits);
    if (!outcome.ok) return outcome;
    onProgress?.(outcome.data);
    if (outcome.data.finishedAt !== null) return outcome;
    await sleep(pause, options.signal);
  }
}

/** Small parts of a file are sent together, up to this size in bytes. */
const BATCH_SIZE = 65_536;

/** Parts of a file wait for others at most this time in milliseconds, if the source is slow. */
const BATCH_TIME = 1_000;

/**
 * Opens a stream of the bytes of a source. It reads the source only when the connection wants more.
 * `stalled` rejects with a `TimeoutError` if the connection wants nothing for `limit` milliseconds,
 * not counting the time that the source needs. `throwFailure` throws the error of the source, if it
 * has failed. `end` closes the source. A stream that ends early fails, so that Talon does not take
 * a part of the file for the whole.
 */
function openUpload(source: Exclude<ImportSource, string | Blob>, limit: number) {
  const iterator = iterate(source);
  let exhausted = false;
  let ended = false;
  let failure: { error: unknown } | undefined;
  let timer: ReturnType<typeof setTimeout>;
  let stall = () => {};
  const stalled = new Promise<never>((_, reject) => {
    stall = () => reject(new TimeoutError(`the service took no data within ${limit} ms`));
  });
  stalled.catch(() => {});
  const restart = () => {
    clearTimeout(timer);
    if (!ended) timer = setTimeout(stall, Math.min(limit, MAX_DELAY));
  };

  /** Returns the next bytes, or `undefined` at the end of the source. */
  const read = async (): Promise<Uint8Array | undefined> => {
    const parts: Uint8Array[] = [];
    let size = 0;
    const started = performance.now();
    while (size === 0 || (size < BATCH_SIZE && performance.now() - started < BATCH_TIME)) {
      const { done, value } = await iterator.next();
      if (done) {
        exhausted = true;
        break;
      }
      const bytes = encode(value);
      parts.push(bytes);
      size += bytes.length;
    }
    if (parts.length <= 1) return parts[0];
    const batch = new Uint8Array(size);
    let offset = 0;
    for (const part of parts) {
      batch.set(part, offset);
      offset += part.length;
    }
    return batch;
  };

  const end = () => {
    if (ended) return;
    ended = true;
    clearTimeout(timer);
    if (!exhausted) (async () => iterator.return?.())().catch(() => {});
  };

  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        clearTimeout(timer);
        try {
          const bytes = await read();
          if (ended) throw new Error('the upload has ended');
          if (bytes === undefined) controller.close();
          else controller.enqueue(bytes);
        } catch (error) {
          if (!ended) failure = { error };
          throw error;
        } finally {
          restart();
        }
      },
      cancel: end,
    },
    { highWaterMark: 0 },
  );
  restart();
  const throwFailure = () => {
    if (failure) throw failure.error;
  };
  return { body, stalled, throwFailure, end };
}

/** Returns an iterator over a source. Not all browsers can iterate over a stream. */
function iterate(
  source: Exclude<ImportSource, string | Blob>,
): Pick<Iterator<ImportChunk> | AsyncIterator<ImportChunk>, 'next' | 'return'> {
  if ('getReader' in source) {
    const reader = source.getReader();
    return {
      next: () => reader.read() as Promise<IteratorResult<ImportChunk>>,
      return: async () => ({ done: true, value: await reader.cancel() }),
    };
  }
  return Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]();
}

const encoder = new TextEncoder();

function encode(chunk: ImportChunk): Uint8Array {
  if (chunk instanceof Uint8Array) return chunk;
  return encoder.encode(typeof chunk === 'string' ? chunk : `${JSON.stringify(chunk)}\n`);
}

/**
 * Returns whether `fetch` can send a stream. Browsers that cannot do it ignore `duplex` and would
 * send `[object ReadableStream]`.
 */
function canSendStreams(): boolean {
  let isKnown = false;
  const init = {
    method: 'POST',
    body: new ReadableStream(),
    get duplex() {
      isKnown = true;
      return 'half';
    },
  };
  return !new Request('https://talon.example', init).headers.has('Content-Type') && isKnown;
}
