import type { Refusal } from './refusal.js';

/**
 * A call failed without a usable response, so it is unknown whether Talon has executed the request.
 * If the operation accepts an `Idempotency-Key`, repeat the call with `idempotencyKey` to find out.
 */
export abstract class CallError extends Error {
  /** The number of tries. */
  tries = 0;
  /** The `Idempotency-Key` of all tries. */
  idempotencyKey?: string;
}

/** The service could not be reached, or its response was lost. */
export class NetworkError extends CallError {
  override name = 'NetworkError';
}

/** No response arrived within `tryTimeout` or `timeout`. */
export class TimeoutError extends CallError {
  override name = 'TimeoutError';
}

/** The caller's `signal` aborted the call; `cause` is the reason of the signal. */
export class AbortError extends CallError {
  override name = 'AbortError';
}

/** The response does not come from Talon but, for example, from a proxy or another server. */
export class UnexpectedAnswerError extends CallError {
  override name = 'UnexpectedAnswerError';

  constructor(
    /** The HTTP status. */
    readonly status: number,
    options?: ErrorOptions,
  ) {
    super(`the response is not from Talon (HTTP ${status})`, options);
  }
}

/**
 * A refusal as an exception, thrown by `orThrow` and `items`. Its `message` is for logs. Show
 * `refusal.message` to the patient.
 */
export class RefusedError extends Error {
  override name = 'RefusedError';

  constructor(readonly refusal: Refusal) {
    super(`${refusal.rule}, request ${refusal.request_id}`);
  }
}
