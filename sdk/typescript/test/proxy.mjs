// A proxy on loopback in front of the service that does to answers what networks do, and remembers what it was asked.
import { createServer, request as httpRequest } from 'node:http';

/**
 * What becomes of a request; all but `refuse`, `page` and `hang` let the service do it first.
 * - `pass`: it is answered.
 * - `lose`: the answer never comes back; the connection is closed.
 * - `cut`: half of the answer comes back.
 * - `keep`: the answer never comes back; the connection stays open.
 * - `refuse`: the connection is closed before the service hears of it.
 * - `hang`: nobody answers; the connection stays open.
 * - `page`: a gateway that does not reach the service answers with a page of its own, 502.
 * - `portal`: a page of somebody else's, 200.
 * @typedef {'pass' | 'lose' | 'cut' | 'keep' | 'refuse' | 'hang' | 'page' | 'portal'} Fate
 * @typedef {object} Seen
 * @property {string} method
 * @property {string} url
 * @property {string} [key] Its Idempotency-Key.
 * @property {number} at When it came.
 * @property {number} [status] What the service has answered.
 * @property {Promise<void>} closed Comes when the request is over for whoever sent it.
 */

/** @type {(emitter: import('node:events').EventEmitter, event: string) => Promise<void>} */
const once = (emitter, event) => new Promise((resolve) => emitter.once(event, () => resolve()));

/**
 * Starts a proxy; `fates` are those of the next requests, and then all pass. `rewrite` may change the address and the headers of a request.
 * @param {string} target
 * @param {{ rewrite?: (url: URL, headers: import('node:http').IncomingHttpHeaders) => void }} [options]
 */
export async function startProxy(target, { rewrite } = {}) {
  /** @type {Fate[]} */
  const fates = [];
  /** @type {Seen[]} */
  const requests = [];
  /** @type {(() => void)[]} */
  const waiting = [];

  const server = createServer(async (request, response) => {
    const fate = fates.shift() ?? 'pass';
    const key = request.headers['idempotency-key'];
    /** @type {Seen} */
    const seen = {
      method: request.method ?? '',
      url: request.url ?? '',
      key: key?.toString(),
      at: performance.now(),
      closed: once(response, 'close'),
    };
    requests.push(seen);
    waiting.splice(0).forEach((resolve) => resolve());
    if (fate === 'refuse') return request.socket.destroy();
    if (fate === 'hang') return;
    if (fate === 'page' || fate === 'portal')
      return response.writeHead(fate === 'page' ? 502 : 200, { 'Content-Type': 'text/html' }).end('<h1>Sorry</h1>');

    const { method, headers } = request;
    const url = new URL(request.url ?? '', target);
    rewrite?.(url, headers);
    const onward = httpRequest(url, { method, headers });
    onward.once('error', () => response.destroy());
    onward.once('response', async (answer) => {
      const body = Buffer.concat(await answer.toArray());
      seen.status = answer.statusCode;
      if (fate === 'keep') return;
      if (fate === 'lose') return request.socket.destroy();
      response.writeHead(answer.statusCode ?? 0, answer.headers);
      if (fate === 'pass') return response.end(body);
      response.write(body.subarray(0, body.length / 2), () => response.destroy());
    });
    request.pipe(onward);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());

  return {
    baseUrl: `http://127.0.0.1:${port}`,
    fates,
    requests,
    /** Comes when so many requests have arrived. */
    arrived: async (/** @type {number} */ count) => {
      while (requests.length < count) await new Promise((resolve) => waiting.push(() => resolve(undefined)));
    },
    /** Forgets what was, for the next test. */
    clear: () => {
      fates.length = 0;
      requests.length = 0;
    },
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
