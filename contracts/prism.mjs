// Prism, an implementation of OpenAPI that is not ours: as a mock of the contract, and as a proxy that holds a service against it.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';

const require = createRequire(import.meta.url);
const cli = join(dirname(require.resolve('@stoplight/prism-cli/package.json')), 'dist/index.js');

/** The contract. */
export const contractFile = fileURLToPath(new URL('../openapi.yaml', import.meta.url));

/** Prism answers the contract's examples: which one says `Prefer: code=400, example=slot_full`. */
export const startMock = () => start('mock', contractFile);

/** Prism hands requests on to a service, and says in `sl-violations` what of request and answer is against the contract. */
export async function startProxy(upstream) {
  const folder = mkdtempSync(join(tmpdir(), 'talon-prism-'));
  const removeFolder = () => rmSync(folder, { recursive: true, force: true });
  try {
    const copy = join(folder, 'openapi.json');
    writeFileSync(copy, JSON.stringify(asPrismReads(parse(await readFile(contractFile, 'utf8')))));
    const prism = await start('proxy', copy, upstream);
    return { ...prism, stop: () => prism.stop().finally(removeFolder) };
  } catch (error) {
    removeFolder();
    throw error;
  }
}

/** `nullable` beside the `allOf` of an enum: to Prism, `null` is then no value of it, unless the enum has it. */
function asPrismReads(contract) {
  const { Rule, Slot } = contract.components.schemas;
  Slot.properties.rule = { type: 'string', nullable: true, enum: Rule.enum };
  return contract;
}

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
      if (output.length > 10_000) return; // only the start matters; the rest is a line for each request
      output += chunk;
      const [, url] = /Prism is listening on (http:\/\/\S+)/.exec(output) ?? [];
      if (url) resolve(url);
    };
    prism.stdout.on('data', read);
    prism.stderr.on('data', read);
    ended.then(() => reject(new Error(`Prism ended instead of starting:\n${output}`)));
  });
  return { baseUrl, stop };
}

/** What Prism says of an exchange: violations of the request, and of the answer. */
export function violationsOf(response) {
  const said = response.headers.get('sl-violations');
  if (said?.startsWith('Too many violations!')) return { request: [], response: [said] }; // cut off, and so no JSON
  const violations = said === null ? [] : JSON.parse(said);
  const of = (side) =>
    violations
      .filter(({ location }) => location[0] === side)
      .map(({ location, message }) => `${location.slice(1).join('.')}: ${message}`);
  return { request: of('request'), response: of('response') };
}
