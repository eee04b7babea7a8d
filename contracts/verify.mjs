// Verifies pacts against a sandbox. On the command line: npm run verify -- [--sandbox URL] [PACT…]
import { fork } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { startSandbox } from './sandbox.mjs';

/** Returns the paths of the pacts in this repository. */
export async function ourPacts() {
  const folder = fileURLToPath(new URL('pacts', import.meta.url));
  return (await readdir(folder)).sort().map((file) => resolve(folder, file));
}

/**
 * Verifies pacts: sends each of their requests to the service in its state, and compares the
 * responses.
 * @param {object} options
 * @param {string} options.sandbox The address of the sandbox, which is reset for each interaction.
 * @param {string[]} options.pacts The paths of the pacts.
 * @param {string} [options.provider] The address for the requests; by default the sandbox.
 * @returns {Promise<Verification>}
 * @typedef {object} Verification
 * @property {Record<string, number>} counts The number of interactions of each consumer.
 * @property {{ interaction: string, reasons: string[] }[]} failures The failed interactions.
 * @property {string} output The output of Pact.
 */
export async function verify({ sandbox, pacts, provider = sandbox }) {
  const child = fork(fileURLToPath(new URL('verifier.mjs', import.meta.url)), { silent: true });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk));
  const stopNow = () => child.kill();
  process.once('exit', stopNow);
  try {
    const result = await new Promise((resolve, reject) => {
      child.once('message', resolve);
      child.once('close', () => reject(new Error(`the verifier exited without a result:\n${output}`)));
      child.send({ sandbox, pacts, provider });
    });
    if (result.error) throw new Error(result.error);
    return result;
  } finally {
    process.removeListener('exit', stopNow);
  }
}

/** Returns the counts of a verification in one line. */
export function summary({ counts, failures }) {
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
  const each = Object.entries(counts).map(([consumer, count]) => `${consumer} ${count}`);
  return `${total} interactions verified (${each.join(', ')}), ${failures.length} failed`;
}

async function main() {
  const { values, positionals } = parseArgs({ options: { sandbox: { type: 'string' } }, allowPositionals: true });
  const own = values.sandbox === undefined ? await startSandbox() : undefined;
  try {
    const pacts =
      positionals.length > 0 ? positionals.map((file) => resolve(process.env.INIT_CWD ?? '.', file)) : await ourPacts();
    const verification = await verify({ sandbox: own?.baseUrl ?? values.sandbox, pacts });
    console.log(`${verification.output}\n\n${summary(verification)}`);
    if (verification.failures.length > 0) process.exitCode = 1;
  } finally {
    await own?.stop();
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await main().catch(({ message }) => {
    console.error(message);
    process.exitCode = 1;
  });
}
