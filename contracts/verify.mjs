// Verifies pacts against a sandbox. By hand: npm run verify -- [--sandbox URL] [PACT…]
import { fork } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { startSandbox } from './sandbox.mjs';

/** The pacts of the consumers that live here. */
export async function ourPacts() {
  const folder = fileURLToPath(new URL('pacts', import.meta.url));
  return (await readdir(folder)).sort().map((file) => resolve(folder, file));
}

/**
 * Verifies pacts: has the service answer each of their requests, in the state that it names, and compares.
 * @param {{ sandbox: string, pacts: string[], provider?: string }} options The sandbox, the files, and where to send the requests, if not to the sandbox itself.
 * @returns {Promise<{ counts: Record<string, number>, failures: { interaction: string, reasons: string[] }[], output: string }>} How many exchanges each consumer
 * has, those that failed, and what Pact says of all.
 */
export async function verify({ sandbox, pacts, provider = sandbox }) {
  const child = fork(fileURLToPath(new URL('verifier.mjs', import.meta.url)), { silent: true });
  let noise = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (noise += chunk));
  const stopNow = () => child.kill();
  process.once('exit', stopNow);
  try {
    const answer = await new Promise((resolve, reject) => {
      child.once('message', resolve);
      child.once('close', () => reject(new Error(`the verifier ended without an answer:\n${noise}`)));
      child.send({ sandbox, pacts, provider });
    });
    if (answer.error) throw new Error(answer.error);
    return answer;
  } finally {
    process.removeListener('exit', stopNow);
  }
}

/** The counts of a verification, in a line. */
export function summary({ counts, failures }) {
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
  const each = Object.entries(counts).map(([consumer, count]) => `${consumer} ${count}`);
  return `${total} exchanges verified (${each.join(', ')}), ${failures.length} failed`;
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
