import { CallError, NetworkError, RefusedError, UnexpectedAnswerError } from './errors.js';
import { createClient } from './gen/client/client.gen.js';
import type { Client } from './gen/client/types.gen.js';
import type { Auth } from './gen/core/auth.gen.js';
import { RETRYABLE } from './gen/rules.gen.js';
import type { Operation, OperationRefusal, Refusal } from './refusal.js';
import { never, within } from './timeout.js';

/** How long and how often a call is tried. */
export interface Limits {
  /** Tries at most, the first included; 4 by default. */
  tries?: number;
  /** Milliseconds that one try may take; 15,000 by default, which is more than the service's own deadline. */
  tryTimeout?: number;
  /** Milliseconds that the call may take in all, with its waits; 30,000 by default. */
  timeout?: number;
}

/** What a `Talon` is made of. */
export interface TalonOptions extends Limits {
  /** Where Talon is: `https://talon.example`; empty for the page's own origin. */
  baseUrl: string;
  /**
   * Gives the patient's COD token, for each request anew. Where Talon has refused one as expired it is asked once more, with that token: get a new one then.
   */
  token?: (expired?: string) => string | undefined | Promise<string | undefined>;
  /** What a client application proves itself by, for `getCodToken` alone. Never in a browser. */
  clientSecret?: { guid: string; secret: string };
  /** Instead of the global `fetch`. It is called with a `Request`. */
  fetch?: (request: Request) => Promise<Response>;
}

/** A Talon to call: the first argument of each operation. */
export interface Talon extends Readonly<TalonOptions> {
  /** @internal */
  readonly client: Client;
}

/** What can be said of one call. */
export interface CallOptions extends Limits {
  /** Aborts the call, also while it waits. */
  signal?: AbortSignal;
}

/** What can be said of one call of an operation that takes an `Idempotency-Key`. */
export interface KeyedCallOptions extends CallOptions {
  /** Instead of the new one that each call makes, and keeps for all its tries: to ask again for what an earlier call may have done. */
  idempotencyKey?: string;
}

/** What became of a call: either its data or a refusal. */
export type Outcome<Data, O extends Operation> = Done<Data> | Refused<O>;

/** Talon has done what was asked. */
export interface Done<Data> {
  ok: true;
  data: Data;
  /** This is the answer to an earlier request with the same `Idempotency-Key`; nothing was done now. */
  replayed: boolean;
}

/** Talon has refused, and nothing has changed. */
export interface Refused<O extends Operation> {
  ok: false;
  refusal: OperationRefusal<O>;
  /** After how many seconds to try again, where the service says so. */
  retryAfter?: number;
}

/** Makes a Talon to call. */
export function createTalon(options: TalonOptions): Talon {
  const { baseUrl, fetch } = options;
  const client = createClient({
    baseUrl,
    parseAs: 'text',
    // The body is read here, so that an answer that is cut off counts as lost like one that never came.
    fetch: async (request) => {
      const response = await (fetch ?? globalThis.fetch)(request as Request);
      return new Response((await response.text()) || null, response);
    },
  });
  return { ...options, client };
}

/** The data of what was done; a refusal is thrown, as `RefusedError`. */
export function orThrow<Data, O extends Operation>(outcome: Outcome<Data, O>): Data {
  if (outcome.ok) return outcome.data;
  throw new RefusedError(outcome.refusal as Refusal);
}

/** Whether an operation may be asked for again when its answer was lost: always, with its key, or never. */
type Repetition = 'safe' | 'keyed' | 'unsafe';

type GeneratedOperation = (options: any) => Promise<{ data?: unknown; error?: unknown; response?: Response }>;

/** @internal Calls an operation of the contract, and again where that can help. */
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

  /** One try: an outcome, or the failure that lost it. */
  const attempt = async (stop: AbortSignal): Promise<Outcome<Data, O> | CallError> => {
    let token: string | undefined;
    const auth = async ({ scheme }: Auth) => {
      if (scheme === 'basic') return talon.clientSecret && `${talon.clientSecret.guid}:${talon.clientSecret.secret}`;
      return (token = await talon.token?.(expired));
    };
    const answer = await operation({ ...request, client: talon.client, headers, auth, signal: stop });
    const outcome = read<Data, O>(answer);
    const refused = !(outcome instanceof CallError) && !outcome.ok && outcome.refusal.rule === 'token_expired';
    if (!refused || token === undefined || expired !== undefined) return outcome;
    expired = token;
    return attempt(stop);
  };

  try {
    for (;;) {
      tries++;
      const result = await within(Math.min(tryTimeout, deadline - performance.now()), signal, attempt);
      if (!(result instanceof CallError) && result.ok) return result;
      const pause = pauseAfter(result, tries, repetition);
      if (pause === undefined || tries >= maxTries || performance.now() + pause >= deadline) {
        if (result instanceof CallError) throw result;
        return result;
      }
      await within(pause, signal, never);
    }
  } catch (error) {
    if (error instanceof CallError) Object.assign(error, { tries, idempotencyKey });
    throw error;
  }
}

/** What the generated client gives, as an outcome. */
function read<Data, O extends Operation>({
  data,
  error,
  response,
}: Awaited<ReturnType<GeneratedOperation>>): Outcome<Data, O> | CallError {
  if (response === undefined) return new NetworkError('no answer', { cause: error });
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

/** How many milliseconds to wait before the next try; `undefined`: another try cannot help, or could do it twice. */
function pauseAfter(result: CallError | Refused<Operation>, tries: number, repetition: Repetition): number | undefined {
  const backoff = Math.random() * Math.min(5_000, 250 * 2 ** tries);
  if (result instanceof CallError) {
    const gatewayGivesUp = result instanceof UnexpectedAnswerError && [502, 503, 504].includes(result.status);
    const lost = gatewayGivesUp || !(result instanceof UnexpectedAnswerError);
    return lost && repetition !== 'unsafe' ? backoff : undefined;
  }
  const { refusal, retryAfter } = result;
  if (!RETRYABLE.includes(refusal.rule)) return undefined;
  if (retryAfter !== undefined) return retryAfter * 1_000 + backoff;
  return refusal.code >= 500 ? backoff : undefined;
}

/** A new random key. `randomUUID` is not there on pages without TLS, which clinics' own networks still have. */
function newKey(): string {
  if (crypto.randomUUID !== undefined) return crypto.randomUUID();
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
