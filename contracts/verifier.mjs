// The child process of verify.mjs. It captures the output of Pact, which prints every interaction.
import { readFile } from 'node:fs/promises';
import { reset, scenariosOf } from './sandbox.mjs';

process.env.PACT_DO_NOT_TRACK = '1';
// Otherwise the verifier sends requests to loopback through the proxy, too.
for (const name of ['HTTP_PROXY', 'HTTPS_PROXY', 'http_proxy', 'https_proxy']) delete process.env[name];
const { Verifier } = await import('@pact-foundation/pact');

process.once('message', async (options) => {
  const result = await verify(options).catch(({ message }) => ({ error: message }));
  process.send(result, () => process.disconnect());
});
process.once('disconnect', () => process.exit()); // also when the parent has died

async function verify({ sandbox, provider, pacts }) {
  const scenarios = await scenariosOf(sandbox);
  const contents = await Promise.all(pacts.map(async (file) => JSON.parse(await readFile(file, 'utf8'))));
  rejectUnknownStates(contents, new Set(scenarios.map(({ name }) => name)));

  // Pact continues if a state handler fails: throw the error at the end.
  let stateFailure;
  const enterState = (scenario) => async () => {
    await reset(sandbox).catch((error) => (stateFailure ??= error));
    return { authorization: scenario.request.headers.Authorization ?? '' };
  };
  const verifier = new Verifier({
    provider: 'talon',
    providerBaseUrl: provider,
    pactUrls: pacts,
    stateHandlers: Object.fromEntries(scenarios.map((scenario) => [scenario.name, enterState(scenario)])),
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

function rejectUnknownStates(pacts, known) {
  const unknown = pacts.flatMap(({ consumer, interactions }) =>
    interactions.flatMap(({ description, providerStates = [] }) => {
      const names = providerStates.map(({ name }) => name).filter((name) => !known.has(name));
      return names.map((name) => `  ${consumer.name}, «${description}»: ${name}`);
    }),
  );
  if (unknown.length > 0)
    throw new Error(`unknown provider states; GET /sandbox/scenarios lists the known ones:\n${unknown.join('\n')}`);
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
