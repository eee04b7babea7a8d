// Tests the verification of deliveries with those that the code of the service has signed.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { Webhook } from 'standardwebhooks';
import { verifyWebhook, WebhookError } from 'talon-sdk';
import { root } from './project.mjs';

/**
 * @typedef {object} Delivery
 * @property {string} name
 * @property {string[]} keys Of the receiver.
 * @property {number} now The receiver's clock, in seconds since 1970.
 * @property {[string, string][]} headers
 * @property {string} body
 * @property {string} result `valid`, `key_invalid`, or a `WebhookReason`.
 */

const file = await readFile(join(root, '../../internal/events/testdata/deliveries.ndjson'), 'utf8');
/** @type {Delivery[]} */
const deliveries = file.trim().split('\n').map((line) => JSON.parse(line));
assert.ok(deliveries.length > 60);
const [first] = deliveries;

/** Returns the result of a verification, and checks that an error shows no key. */
const resultOf = async (/** @type {Delivery} */ { keys, now, body }, /** @type {any} */ headers, encode = false) => {
  try {
    const delivery = { headers, body: encode ? new TextEncoder().encode(body) : body };
    const event = await verifyWebhook(delivery, keys, { now: () => now * 1000 });
    assert.equal(event.id, '1566291600087416');
    assert.equal(event.data.lpuGuid, '4cb4f1c8-386d-410d-ac5d-fa232bd2afb9');
    return 'valid';
  } catch (error) {
    if (error instanceof assert.AssertionError || !(error instanceof Error)) throw error;
    for (const key of keys) if (key.length > 6) assert.ok(!error.message.includes(key.slice(6)), error.message);
    if (error instanceof TypeError) return 'key_invalid';
    assert.ok(error instanceof WebhookError, error.stack);
    return error.reason;
  }
};

/** Returns headers as Node gives those that it does not combine: lists. */
const listed = (/** @type {Delivery} */ { headers }) => {
  /** @type {Record<string, string[]>} */
  const all = {};
  for (const [name, value] of headers) (all[name] ??= []).push(value);
  return all;
};

for (const delivery of deliveries) {
  test(`Promise: ${delivery.name}: ${delivery.result}`, async () => {
    assert.equal(await resultOf(delivery, new Headers(delivery.headers)), delivery.result);
    assert.equal(await resultOf(delivery, new Headers(delivery.headers), true), delivery.result);
    assert.equal(await resultOf(delivery, listed(delivery)), delivery.result);
  });
}

test('Promise: the error for a body that a framework has parsed names what is needed', async () => {
  const parsed = JSON.parse(first.body);
  for (const body of [parsed, undefined, null, new ArrayBuffer(8)])
    await assert.rejects(verifyWebhook({ headers: new Headers(first.headers), body }, first.keys), {
      name: 'TypeError',
      message: 'verifyWebhook needs the body as raw text or bytes, not parsed',
    });
});

test('Promise: the headers of a request in Node are those of the delivery', async () => {
  const server = createServer(async (request, response) => {
    const body = [];
    for await (const chunk of request) body.push(chunk);
    const delivery = { headers: request.headers, body: Buffer.concat(body) };
    const event = await verifyWebhook(delivery, first.keys, { now: () => first.now * 1000 });
    response.end(event.type);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
  try {
    const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
    const { headers, body } = first;
    const response = await fetch(`http://127.0.0.1:${port}`, { method: 'POST', headers, body });
    assert.equal(await response.text(), 'appointment.booked');
  } finally {
    server.close();
  }
});

test('Promise: the SDK and the library of Standard Webhooks agree about HMAC signatures', async () => {
  const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
  const library = new Webhook(secret);
  const { body } = first;
  const signedAt = (/** @type {Date} */ at) => ({
    'webhook-id': '1566291600087416',
    'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
    'webhook-signature': library.sign('1566291600087416', at, body),
  });
  const now = new Date();
  assert.equal((await verifyWebhook({ body, headers: signedAt(now) }, secret)).type, 'appointment.booked');
  assert.deepEqual(library.verify(body, signedAt(now)), JSON.parse(body));

  const old = { body, headers: signedAt(new Date(now.getTime() - 120_000)) };
  await verifyWebhook(old, secret);
  const strict = { tolerance: 60_000, now: () => now.getTime() };
  await assert.rejects(verifyWebhook(old, secret, strict), { name: 'WebhookError', reason: 'too_old' });
});
