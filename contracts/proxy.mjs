// A proxy that may change what a service answers: to see that a check notices, or to look at what passes.
import { once } from 'node:events';
import { createServer, request } from 'node:http';

/**
 * Starts it on loopback.
 * @param {string} target The service.
 * @param {(answer: { method: string, path: string, status: number, headers: Record<string, string>, body: any }) => void} change
 * Looks at each answer, and may change its status, its headers and its body (JSON).
 */
export async function startTampering(target, change) {
  const server = createServer((asked, answered) => {
    const { method, url: path, headers } = asked;
    const passed = request(new URL(path, target), { method, headers }, async (response) => {
      const text = Buffer.concat(await response.toArray()).toString();
      const json = /^application\/json/.test(response.headers['content-type'] ?? '');
      const answer = {
        method,
        path,
        status: response.statusCode,
        headers: response.headers,
        body: json ? JSON.parse(text) : undefined,
      };
      change(answer);
      const { 'content-length': length, 'transfer-encoding': coding, ...kept } = answer.headers;
      answered.writeHead(answer.status, kept).end(json ? JSON.stringify(answer.body) : text);
    });
    passed.once('error', () => answered.destroy());
    asked.pipe(passed);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const stop = async () => {
    server.closeAllConnections();
    await once(server.close(), 'close');
  };
  return { baseUrl: `http://127.0.0.1:${server.address().port}`, stop };
}
