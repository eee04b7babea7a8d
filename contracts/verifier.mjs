// A process of verify.mjs: Pact prints every exchange to its standard output, so it has one to itself.
import { readFile } from 'node:fs/promises';
import { reset, scenariosOf } from './sandbox.mjs';

process.env.PACT_DO_NOT_TRACK = '1';
// The verifier would send its requests to loopback through a proxy, too.
for (const name of ['HTTP_PROXY', 'HTTPS_PROXY', 'http_proxy', 'https_proxy']) delete process.env[name];
const { Verifier } = await import('@pact-foundation/pact');

process.once('message', async (options) => {
  const answer = await verify(options).catch(({ message }) => ({ error: message }));
  process.send(answer, () => process.disconnect());
});
process.once('disconnect', () => process.exit()); // also where the parent has died

async function verify({ sandbox, provider, pacts }) {
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
    output: result.output.join('\n'),
  };
}

function refuseUnknownStates(pacts, known) {
  const unknown = pacts.flatMap(({ consumer, interactions }) =>
    interactions.flatMap(({ description, providerStates = [] }) => {
      const names = providerStates.map(({ name }) => name).filter((name) => !known.has(name));
      return names.map((name) => `  ${consumer.name}, «${description}»: ${name}`);
    }),
  );
  if (unknown.length > 0)
    throw new Error(`provider states that are no scenario of GET /sandbox/scenarios:\n${unknown.join('\n')}`);
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
