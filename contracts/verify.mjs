// Verifies pacts against a sandbox. By hand: npm run verify -- [--sandbox URL] [PACT…]
import { readFile, readdir } from 'node:fs/promises';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { reset, scenariosOf, startSandbox } from './sandbox.mjs';

process.env.PACT_DO_NOT_TRACK = '1';
// The verifier would send its requests to loopback through a proxy, too.
for (const name of ['HTTP_PROXY', 'HTTPS_PROXY', 'http_proxy', 'https_proxy']) delete process.env[name];
const { Verifier } = await import('@pact-foundation/pact');

/** The pacts of the consumers that live here. */
export async function ourPacts() {
  const folder = fileURLToPath(new URL('pacts', import.meta.url));
  return (await readdir(folder)).sort().map((file) => resolve(folder, file));
}

/**
 * Verifies pacts: has the service answer each of their requests, and compares. Answers how many exchanges each consumer has, and those that failed, with why.
 * @param {{ sandbox: string, pacts: string[], provider?: string }} options The sandbox, the files, and where to send the requests, if not to the sandbox itself.
 */
export async function verify({ sandbox, pacts, provider = sandbox }) {
  const scenarios = await scenariosOf(sandbox);
  const contents = await Promise.all(pacts.map(async (file) => JSON.parse(await readFile(file, 'utf8'))));
  refuseUnknownStates(contents, new Set(scenarios.map(({ name }) => name)));

  // Pact goes on where a state could not be made: its failure is thrown at the end.
  let stateFailure;
  const enter = (scenario) => async () => {
    await reset(sandbox).catch((error) => (stateFailure ??= error));
    return { authorization: scenario.request.headers.Authorization ?? '' };
  };
  const verifier = new Verifier({
    provider: 'talon',
    providerBaseUrl: provider,
    pactUrls: pacts,
    stateHandlers: Object.fromEntries(scenarios.map((scenario) => [scenario.name, enter(scenario)])),
    logLevel: 'error',
  });
  const result = await verifier.verifyProvider().then(JSON.parse, ({ message }) => parseFailure(message));
  if (stateFailure) throw stateFailure;
  return {
    counts: Object.fromEntries(contents.map(({ consumer, interactions }) => [consumer.name, interactions.length])),
    failures: result.errors.map(({ interaction, mismatch }) => ({ interaction, reasons: reasons(mismatch) })),
  };
}

function refuseUnknownStates(pacts, known) {
  const unknown = pacts.flatMap(({ consumer, interactions }) =>
    interactions.flatMap(({ description, providerStates = [] }) => {
      const names = providerStates.map(({ name }) => name).filter((name) => !known.has(name));
      return names.map((name) => `  ${consumer.name}, «${description}»: ${name}`);
    }),
  );
  if (unknown.length > 0) throw new Error(`provider states that are no scenario of GET /sandbox/scenarios:\n${unknown.join('\n')}`);
}

function parseFailure(message) {
  try {
    return JSON.parse(message);
  } catch {
    throw new Error(message);
  }
}

function reasons({ mismatches, type, message }) {
  if (mismatches === undefined) return [message ?? type];
  return mismatches.map(({ path, key, mismatch }) => [path ?? key, mismatch].filter(Boolean).join(': '));
}

async function main() {
  const { values, positionals } = parseArgs({ options: { sandbox: { type: 'string' } }, allowPositionals: true });
  const own = values.sandbox === undefined ? await startSandbox() : undefined;
  try {
    const pacts = positionals.length > 0 ? positionals.map((file) => resolve(file)) : await ourPacts();
    // Pact itself prints each exchange.
    const { counts, failures } = await verify({ sandbox: own?.baseUrl ?? values.sandbox, pacts });
    const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
    const each = Object.entries(counts).map(([consumer, count]) => `${consumer} ${count}`);
    console.log(`${total} exchanges verified (${each.join(', ')}), ${failures.length} failed.`);
    if (failures.length > 0) process.exitCode = 1;
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
