import type { Refusal } from './refusal.js';

/**
 * Talon has not answered, and nobody knows whether it has done what was asked. Where the operation takes an `Idempotency-Key`, asking again with
 * `idempotencyKey` settles it.
 */
export abstract class CallError extends Error {
  /** How often the operation was tried. */
  tries = 0;
  /** The `Idempotency-Key` that the tries bore. */
  idempotencyKey?: string;
}

/** The service could not be reached, or the answer was lost on its way. */
export class NetworkError extends CallError {
  override name = 'NetworkError';
}

/** No answer came within `tryTimeout` or `timeout`. */
export class TimeoutError extends CallError {
  override name = 'TimeoutError';
}

/** The caller's `signal` aborted the call; `cause` is its reason. */
export class AbortError extends CallError {
  override name = 'AbortError';
}

/** Something answered that is not Talon: a proxy's page, a wrong address. */
export class UnexpectedAnswerError extends CallError {
  override name = 'UnexpectedAnswerError';

  constructor(
    /** The HTTP status. */
    readonly status: number,
    options?: ErrorOptions,
  ) {
    super(`not an answer of Talon's (HTTP ${status})`, options);
  }
}

/** A refusal, where it has to be thrown: by `orThrow` and `items`. Its own message is for logs; `refusal.message` is for the patient. */
export class RefusedError extends Error {
  override name = 'RefusedError';

  constructor(readonly refusal: Refusal) {
    super(`${refusal.rule}, request ${refusal.request_id}`);
  }
}
