// A proxy on loopback in front of the service. It simulates network faults and records requests.
import { createServer, request as httpRequest } from 'node:http';

/**
 * What the proxy does with a request instead of returning the response of the service. The service
 * executes the request with the first three faults.
 * - `drop`: closes the connection instead of returning the response.
 * - `truncate`: returns half of the response and closes the connection.
 * - `stall`: returns nothing and leaves the connection open.
 * - `refuse`: closes the connection before the service receives the request.
 * - `hang`: does not forward the request and leaves the connection open.
 * - `badGateway`: returns 502 with an HTML page, like a gateway that cannot reach the service.
 * - `foreignPage`: returns 200 with an HTML page of another server.
 * @typedef {'drop' | 'truncate' | 'stall' | 'refuse' | 'hang' | 'badGateway' | 'foreignPage'} Fault
 * @typedef {object} RecordedRequest
 * @property {string} method
 * @property {string} url
 * @property {string} [key] Its Idempotency-Key.
 * @property {number} received The number of bytes of its body that have arrived.
 * @property {number} at The time of its arrival in milliseconds, from performance.now().
 * @property {number} [status] The status of the service's response.
 * @property {Promise<void>} closed Resolves when the connection to the sender ends.
 */

/** @type {(emitter: import('node:events').EventEmitter, event: string) => Promise<void>} */
const once = (emitter, event) => new Promise((resolve) => emitter.once(event, () => resolve()));

/**
 * Starts a proxy. The faults in `faults` apply to the next requests in their order; all later
 * requests have none. `rewrite` may change the address and the headers of a request, `rewriteBody`
 * the body of a response.
 * @param {string} target The address of the service.
 * @param {object} [options]
 * @param {(url: URL, headers: import('node:http').IncomingHttpHeaders) => void} [options.rewrite]
 * @param {(body: string) => string} [options.rewriteBody]
 */
export async function startProxy(target, { rewrite, rewriteBody } = {}) {
  /** @type {(Fault | undefined)[]} */
  const faults = [];
  /** @type {RecordedRequest[]} */
  const requests = [];
  /** @type {(() => void)[]} */
  const waiting = [];

  const server = createServer(async (request, response) => {
    const fault = faults.shift();
    const key = request.headers['idempotency-key'];
    /** @type {RecordedRequest} */
    const recorded = {
      method: request.method ?? '',
      url: request.url ?? '',
      key: key?.toString(),
      received: 0,
      at: performance.now(),
      closed: once(response, 'close'),
    };
    requests.push(recorded);
    waiting.splice(0).forEach((resolve) => resolve());
    if (fault === 'refuse') return request.socket.destroy();
    if (fault === 'hang') return;
    if (fault === 'badGateway' || fault === 'foreignPage') {
      response.writeHead(fault === 'badGateway' ? 502 : 200, { 'Content-Type': 'text/html' }).end('<h1>Sorry</h1>');
      return;
    }

    request.on('data', (chunk) => {
      recorded.received += chunk.length;
      waiting.splice(0).forEach((resolve) => resolve());
    });
    const { method, headers } = request;
    const url = new URL(request.url ?? '', target);
    rewrite?.(url, headers);
    if (rewriteBody) delete headers['accept-encoding'];
    const forwarded = httpRequest(url, { method, headers });
    forwarded.once('error', () => response.destroy());
    forwarded.once('response', async (received) => {
      let body = Buffer.concat(await received.toArray());
      recorded.status = received.statusCode;
      if (rewriteBody) {
        body = Buffer.from(rewriteBody(body.toString()));
        delete received.headers['transfer-encoding'];
        received.headers['content-length'] = String(body.length);
      }
      if (fault === 'stall') return;
      if (fault === 'drop') return request.socket.destroy();
      response.writeHead(received.statusCode ?? 0, received.headers);
      if (fault === 'truncate') response.write(body.subarray(0, body.length / 2), () => response.destroy());
      else response.end(body);
    });
    request.pipe(forwarded);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());

  return {
    baseUrl: `http://127.0.0.1:${port}`,
    faults,
    requests,
    /** Resolves when the given number of requests has arrived. */
    arrived: async (/** @type {number} */ count) => {
      while (requests.length < count) await new Promise((resolve) => waiting.push(() => resolve(undefined)));
    },
    /** Resolves when the given number of bytes of the latest request's body has arrived. */
    received: async (/** @type {number} */ bytes) => {
      while ((requests.at(-1)?.received ?? 0) < bytes)
        await new Promise((resolve) => waiting.push(() => resolve(undefined)));
    },
    /** Removes the recorded requests and the faults, for the next test. */
    clear: () => {
      faults.length = 0;
      requests.length = 0;
    },
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
