import type { Event } from './gen/types.gen.js';

/**
 * Why a delivery is rejected:
 * - `header_missing`: it is not a delivery of a webhook.
 * - `header_invalid`: the id or the timestamp is malformed or repeated.
 * - `too_old`, `too_new`: it was recorded and sent again, or the clock of the receiver is wrong.
 * - `signature_invalid`: no signature is by one of the keys.
 * - `not_an_event`: it is signed, but the body is no event.
 */
export type WebhookReason =
  | 'header_missing'
  | 'header_invalid'
  | 'too_old'
  | 'too_new'
  | 'signature_invalid'
  | 'not_an_event';

/**
 * The rejection of a delivery by `verifyWebhook`. Respond with status 400. Its message contains
 * neither keys nor content of the delivery, so it may be logged.
 */
export class WebhookError extends Error {
  override name = 'WebhookError';

  constructor(
    readonly reason: WebhookReason,
    detail: string,
  ) {
    super(`${reason}: ${detail}`);
  }
}

/** A delivery of a webhook, as it was received. */
export interface WebhookDelivery {
  /** The body as it was received: not parsed and serialised again. */
  body: string | Uint8Array;
  /** The `headers` of a `Request`, or of a request in Node. The case of the names does not matter. */
  headers: Pick<Headers, 'get'> | Record<string, string | readonly string[] | undefined>;
}

/** The options of `verifyWebhook`. */
export interface WebhookOptions {
  /**
   * The maximum difference between the time of a delivery and the clock, in milliseconds and in both
   * directions (5 minutes).
   */
  tolerance?: number;
  /** Returns the current time in milliseconds since 1970 (`Date.now`). */
  now?: () => number;
}

/** The service sends two signatures for each key, and has several keys only while one is replaced. */
const MAX_SIGNATURES = 32;

/**
 * Checks a delivery of a webhook and returns its event. `keys` are those of the webhook: secrets
 * (`whsec_…`) or public keys (`whpk_…`). It suffices that one signature is by one of them, so pass
 * the old and the new key while a key is replaced.
 *
 * It throws a `WebhookError` if the delivery must be rejected, and a `TypeError` if the body is
 * neither text nor bytes, or if there are no keys or one is malformed. The event may be known, or older than a known one: skip an `id` that was
 * processed, and an appointment's `data.version` below the known one.
 */
export async function verifyWebhook(
  { body, headers }: WebhookDelivery,
  keys: string | readonly string[],
  { tolerance = 300_000, now = Date.now }: WebhookOptions = {},
): Promise<Event> {
  // A framework may have parsed the body; the signature is of its bytes.
  if (typeof body !== 'string' && !ArrayBuffer.isView(body))
    throw new TypeError('verifyWebhook needs the body as raw text or bytes, not parsed');
  const known = [keys].flat().map(parseKey);
  if (known.length === 0) throw new TypeError('there are no webhook keys');
  const id = header(headers, 'webhook-id');
  const timestamp = header(headers, 'webhook-timestamp');
  const signatures = header(headers, 'webhook-signature');
  for (const [name, value] of Object.entries({ 'webhook-id': id, 'webhook-timestamp': timestamp }))
    // Repeated headers that the platform or a proxy has combined contain a comma.
    if (/[, ]/.test(value)) throw new WebhookError('header_invalid', `${name} is repeated`);
  if (!/^\d{1,15}$/.test(timestamp))
    throw new WebhookError('header_invalid', 'webhook-timestamp is no number of seconds');
  const age = now() - Number(timestamp) * 1000;
  if (age > tolerance) throw new WebhookError('too_old', `sent ${Math.trunc(age / 1000)} s before now`);
  if (-age > tolerance) throw new WebhookError('too_new', `sent ${Math.trunc(-age / 1000)} s after now`);

  const content = typeof body === 'string' ? new TextEncoder().encode(body) : body;
  const prefix = new TextEncoder().encode(`${id}.${timestamp}.`);
  const signed = new Uint8Array(prefix.length + content.length);
  signed.set(prefix);
  signed.set(content, prefix.length);
  if (!(await anyValid(signatures.split(/,? +/).slice(0, MAX_SIGNATURES), known, signed)))
    throw new WebhookError('signature_invalid', 'no signature is by one of the keys');
  return readEvent(content, id);
}

/** A key and the version of the signatures by it. */
interface Key {
  version: 'v1' | 'v1a';
  bytes: Uint8Array<ArrayBuffer>;
}

/** Parses a key. The errors name its index and not the key. */
function parseKey(key: string, index: number): Key {
  const [, kind, encoded] = /^(whsec|whpk)_(.*)$/.exec(key.trim()) ?? [];
  const bytes = encoded === undefined ? undefined : decode(encoded);
  // Standard Webhooks allows secrets of 24 to 64 bytes. Those of the service have 32.
  if (bytes && kind === 'whsec' && bytes.length >= 24 && bytes.length <= 64) return { version: 'v1', bytes };
  if (bytes && kind === 'whpk' && bytes.length === 32) return { version: 'v1a', bytes };
  throw new TypeError(`webhook key ${index} is neither a secret (whsec_…) nor a public key (whpk_…)`);
}

/** Returns the bytes of padded base64, or undefined if it is malformed. */
function decode(text: string): Uint8Array<ArrayBuffer> | undefined {
  if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(text)) return undefined;
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

/** Returns the value of a header, or throws. Repeated headers are combined as HTTP does. */
function header(headers: WebhookDelivery['headers'], name: string): string {
  let value: string | null;
  if (typeof headers.get === 'function') value = headers.get(name);
  else {
    const entries = Object.entries(headers as Record<string, string | readonly string[] | undefined>);
    value = entries.flatMap(([key, values]) => (key.toLowerCase() === name ? (values ?? []) : [])).join(', ');
  }
  if (!value?.trim()) throw new WebhookError('header_missing', name);
  return value;
}

/**
 * Returns whether one of the signatures is by one of the keys. Those of unknown versions and
 * malformed ones are skipped. WebCrypto compares in constant time.
 */
async function anyValid(signatures: string[], keys: Key[], signed: Uint8Array<ArrayBuffer>): Promise<boolean> {
  for (const { version, bytes } of keys) {
    const algorithm = version === 'v1' ? { name: 'HMAC', hash: 'SHA-256' } : { name: 'Ed25519' };
    const key = await crypto.subtle.importKey('raw', bytes, algorithm, false, ['verify']);
    for (const text of signatures) {
      const signature = text.startsWith(`${version},`) && decode(text.slice(version.length + 1).replace(/,$/, ''));
      if (signature && (await crypto.subtle.verify(algorithm.name, key, signature, signed))) return true;
    }
  }
  return false;
}

/** The fields of an event that are strings. */
const TEXTS = ['source', 'type', 'time', 'subject', 'sequence'] as const;

/** Returns the event of a delivery whose signature is valid. */
function readEvent(content: Uint8Array, id: string): Event {
  let event: Partial<Event> | null;
  try {
    event = JSON.parse(new TextDecoder().decode(content));
  } catch {
    throw new WebhookError('not_an_event', 'the body is not JSON');
  }
  const missing = TEXTS.find((name) => typeof event?.[name] !== 'string' || event[name] === '');
  if (missing) throw new WebhookError('not_an_event', `${missing} is missing`);
  if (event?.specversion !== '1.0') throw new WebhookError('not_an_event', 'specversion is not 1.0');
  if (event.id !== id) throw new WebhookError('not_an_event', 'id differs from webhook-id');
  if (typeof event.data?.lpuGuid !== 'string') throw new WebhookError('not_an_event', 'data.lpuGuid is missing');
  return event as Event;
}
