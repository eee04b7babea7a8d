// A proxy that can inspect and change the responses of a service, to test that checks find changes.
import { once } from 'node:events';
import { createServer, request } from 'node:http';

/**
 * Starts the proxy on loopback.
 * @param {string} target The address of the service.
 * @param {(response: ProxiedResponse) => void} change Is called with each response. It can change
 * the status, the headers and the body.
 * @typedef {object} ProxiedResponse
 * @property {string} method The method of the request.
 * @property {string} path The path and the query of the request.
 * @property {number} status
 * @property {Record<string, string>} headers
 * @property {any} body The parsed JSON; undefined for other types.
 */
export async function startTamperingProxy(target, change) {
  const server = createServer((incoming, outgoing) => {
    const { method, url: path } = incoming;
    const headers = { ...incoming.headers, 'accept-encoding': 'identity' }; // to read the response
    const forwarded = request(new URL(path, target), { method, headers }, async (received) => {
      const text = Buffer.concat(await received.toArray()).toString();
      const isJson = /^application\/(\w+\+)?json/.test(received.headers['content-type'] ?? '');
      const response = {
        method,
        path,
        status: received.statusCode,
        headers: received.headers,
        body: isJson ? JSON.parse(text) : undefined,
      };
      change(response);
      const { 'content-length': length, 'transfer-encoding': coding, ...kept } = response.headers;
      outgoing.writeHead(response.status, kept).end(isJson ? JSON.stringify(response.body) : text);
    });
    forwarded.once('error', () => outgoing.destroy());
    incoming.pipe(forwarded);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const stop = async () => {
    server.closeAllConnections();
    await once(server.close(), 'close');
  };
  return { baseUrl: `http://127.0.0.1:${server.address().port}`, stop };
}
