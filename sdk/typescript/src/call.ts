import { CallError, NetworkError, RefusedError, UnexpectedAnswerError } from './errors.js';
import { createClient } from './gen/client/client.gen.js';
import type { Client } from './gen/client/types.gen.js';
import type { Auth } from './gen/core/auth.gen.js';
import { RETRYABLE } from './gen/rules.gen.js';
import type { Operation, OperationRefusal, Refusal } from './refusal.js';
import { sleep, withTimeout } from './timeout.js';

/** The limits of a call. Each has a default in `createTalon` and can be set for one call. */
export interface Limits {
  /** The maximum number of tries, including the first; 4 by default. */
  tries?: number;
  /**
   * The maximum duration of one try in milliseconds; 15,000 by default, which is longer than the
   * deadline of the service.
   */
  tryTimeout?: number;
  /** The maximum duration of the call in milliseconds, including its waits; 30,000 by default. */
  timeout?: number;
}

/** The options of `createTalon`. */
export interface TalonOptions extends Limits {
  /** The address of Talon: `https://talon.example`. An empty string is the page's own origin. */
  baseUrl: string;
  /**
   * Returns the token: a patient's COD token, or a system token (`clientCredentials`). It is called
   * for each request. When Talon rejects a token as expired, it is called once more with that token
   * and must return a new one.
   */
  token?: (expired?: string) => string | undefined | Promise<string | undefined>;
  /** The credentials of a client application, for `getCodToken` and `getSystemToken`. Never set them in a browser. */
  clientSecret?: { guid: string; secret: string };
  /** Replaces the global `fetch`. It is called with a `Request`. */
  fetch?: (request: Request) => Promise<Response>;
}

/** A client of Talon: the first argument of each operation. */
export interface Talon extends Readonly<TalonOptions> {
  /** @internal */
  readonly client: Client;
}

/** The options of one call. */
export interface CallOptions extends Limits {
  /** Aborts the call, also while it waits for the next try. */
  signal?: AbortSignal;
}

/** The options of one call of an operation that accepts an `Idempotency-Key`. */
export interface KeyedCallOptions extends CallOptions {
  /**
   * The key of an earlier call, to repeat that call safely. By default each call creates a new key
   * and sends it with all its tries.
   */
  idempotencyKey?: string;
}

/** The result of a call: either its data or a refusal. */
export type Outcome<Data, O extends Operation> = Done<Data> | Refused<O>;

/** Talon has processed the request. */
export interface Done<Data> {
  ok: true;
  data: Data;
  /**
   * Whether this is the stored response to an earlier request with the same `Idempotency-Key`. Then
   * this call has changed nothing.
   */
  replayed: boolean;
}

/** Talon has rejected the request, and nothing has changed. */
export interface Refused<O extends Operation> {
  ok: false;
  refusal: OperationRefusal<O>;
  /** The number of seconds to wait before a retry, from the header `Retry-After`. */
  retryAfter?: number;
}

/** Creates a client of Talon. */
export function createTalon(options: TalonOptions): Talon {
  const { baseUrl, fetch } = options;
  const client = createClient({
    baseUrl,
    parseAs: 'text',
    // Read the whole body here, so that a truncated response fails like a lost one.
    fetch: async (request) => {
      const response = await (fetch ?? globalThis.fetch)(request as Request);
      return new Response((await response.text()) || null, response);
    },
  });
  return { ...options, client };
}

/** Returns the data of a successful outcome, and throws a refusal as `RefusedError`. */
export function orThrow<Data, O extends Operation>(outcome: Outcome<Data, O>): Data {
  if (outcome.ok) return outcome.data;
  throw new RefusedError(outcome.refusal as Refusal);
}

/**
 * Whether a request can be sent again after its response was lost: `safe` always, `keyed` with the
 * same key, `unsafe` never. `once`: not even after a refusal, because its body can be read only once.
 */
type Repetition = 'safe' | 'keyed' | 'unsafe' | 'once';

type GeneratedOperation = (options: any) => Promise<{ data?: unknown; error?: unknown; response?: Response }>;

/** @internal Calls an operation of the contract, and retries it where a retry can succeed. */
export async function call<Data, O extends Operation>(
  talon: Talon,
  operation: GeneratedOperation,
  repetition: Repetition,
  request: object,
  options: KeyedCallOptions = {},
): Promise<Outcome<Data, O>> {
  const { signal } = options;
  const maxTries = options.tries ?? talon.tries ?? 4;
  const tryTimeout = options.tryTimeout ?? talon.tryTimeout ?? 15_000;
  const deadline = performance.now() + (options.timeout ?? talon.timeout ?? 30_000);
  const idempotencyKey = repetition === 'keyed' ? (options.idempotencyKey ?? newKey()) : undefined;
  const headers = idempotencyKey === undefined ? undefined : { 'Idempotency-Key': idempotencyKey };
  let expired: string | undefined;
  let tries = 0;

  /** Sends the request, and once more if the token has expired. Returns the outcome or failure. */
  const attempt = async (stop: AbortSignal): Promise<Outcome<Data, O> | CallError> => {
    let token: string | undefined;
    const auth = async ({ scheme }: Auth) => {
      if (scheme === 'basic') return talon.clientSecret && `${talon.clientSecret.guid}:${talon.clientSecret.secret}`;
      return (token = await talon.token?.(expired));
    };
    const result = await operation({ ...request, client: talon.client, headers, auth, signal: stop });
    const outcome = parse<Data, O>(result);
    const hasExpired = !(outcome instanceof CallError) && !outcome.ok && outcome.refusal.rule === 'token_expired';
    if (!hasExpired || token === undefined || expired !== undefined || repetition === 'once') return outcome;
    expired = token;
    return attempt(stop);
  };

  try {
    for (;;) {
      tries++;
      const result = await withTimeout(Math.min(tryTimeout, deadline - performance.now()), signal, attempt);
      if (!(result instanceof CallError) && result.ok) return result;
      const pause = pauseAfter(result, tries, repetition);
      if (pause === undefined || tries >= maxTries || performance.now() + pause >= deadline) {
        if (result instanceof CallError) throw result;
        return result;
      }
      await sleep(pause, signal);
    }
  } catch (error) {
    if (error instanceof CallError) Object.assign(error, { tries, idempotencyKey });
    throw error;
  }
}

/** Converts the result of the generated client into an outcome or a failure. */
function parse<Data, O extends Operation>({
  data,
  error,
  response,
}: Awaited<ReturnType<GeneratedOperation>>): Outcome<Data, O> | CallError {
  if (response === undefined) return new NetworkError('no response', { cause: error });
  if (!response.ok) {
    if (!isRefusal(error)) return new UnexpectedAnswerError(response.status);
    const retryAfter = Number(response.headers.get('Retry-After')) || undefined;
    return { ok: false, refusal: error as OperationRefusal<O>, retryAfter };
  }
  const replayed = response.headers.get('Idempotency-Replayed') === 'true';
  try {
    return { ok: true, data: response.status === 204 ? undefined : JSON.parse(data as string), replayed };
  } catch (cause) {
    return new UnexpectedAnswerError(response.status, { cause });
  }
}

function isRefusal(error: unknown): error is Refusal {
  const { rule, message } = (error ?? {}) as Partial<Refusal>;
  return typeof rule === 'string' && typeof message === 'string';
}

/**
 * Returns the wait before the next try in milliseconds, or `undefined` where a retry cannot help or
 * could execute the request twice.
 */
function pauseAfter(result: CallError | Refused<Operation>, tries: number, repetition: Repetition): number | undefined {
  if (repetition === 'once') return undefined;
  const backoff = Math.random() * Math.min(5_000, 250 * 2 ** tries);
  if (result instanceof CallError) {
    const isGatewayError = result instanceof UnexpectedAnswerError && [502, 503, 504].includes(result.status);
    const isLost = isGatewayError || !(result instanceof UnexpectedAnswerError);
    return isLost && repetition !== 'unsafe' ? backoff : undefined;
  }
  const { refusal, retryAfter } = result;
  if (!RETRYABLE.includes(refusal.rule)) return undefined;
  if (retryAfter !== undefined) return retryAfter * 1_000 + backoff;
  return refusal.code >= 500 ? backoff : undefined;
}

/**
 * Returns a new random key. Browsers have no `randomUUID` on pages without TLS, which the internal
 * networks of some clinics still use.
 */
function newKey(): string {
  if (crypto.randomUUID !== undefined) return crypto.randomUUID();
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
