// Starts Prism, an independent implementation of OpenAPI: as a mock server with the examples of the
// contract, or as a proxy that validates a service against the contract.
import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const require = createRequire(import.meta.url);
const cli = join(dirname(require.resolve('@stoplight/prism-cli/package.json')), 'dist/index.js');

/** The path of the contract. */
export const contractFile = fileURLToPath(new URL('../openapi.yaml', import.meta.url));

/** Starts a mock server. `Prefer: code=400, example=slot_full` selects the example to return. */
export const startMock = () => start('mock', contractFile);

/**
 * Starts a proxy in front of a service. Its responses list in `sl-violations` how the request and
 * the response violate the contract.
 */
export const startProxy = (upstream) => start('proxy', contractFile, upstream);

async function start(...command) {
  const prism = spawn(process.execPath, [cli, ...command, '--port', '0'], { stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise((resolve) => prism.once('close', resolve).once('error', resolve));
  const stopNow = () => prism.kill('SIGTERM');
  process.once('exit', stopNow);
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));
  const stop = async () => {
    process.removeListener('exit', stopNow);
    stopNow();
    await ended;
  };
  let output = '';
  const baseUrl = await new Promise((resolve, reject) => {
    const read = (chunk) => {
      output = (output + chunk).slice(-10_000); // Prism lists all operations first, and later logs each request
      const [, url] = /Prism is listening on (http:\/\/\S+)/.exec(output) ?? [];
      if (url) resolve(url);
    };
    prism.stdout.on('data', read);
    prism.stderr.on('data', read);
    ended.then(() => reject(new Error(`Prism exited during its start:\n${output}`)));
  });
  return { baseUrl, stop };
}

/** Returns the violations of a request and of its response that Prism reports. */
export function violationsOf(response) {
  const header = response.headers.get('sl-violations');
  if (header?.startsWith('Too many violations!')) return { request: [], response: [header] }; // truncated, so not JSON
  const violations = header === null ? [] : JSON.parse(header);
  const of = (side) =>
    violations
      .filter(({ location }) => location[0] === side)
      .map(({ location, message }) => `${location.slice(1).join('.')}: ${message}`);
  return { request: of('request'), response: of('response') };
}
