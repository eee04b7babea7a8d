// Tests arazzo.yaml with Redocly, which also validates each response against the contract.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { parse } from 'yaml';
import { dayAhead, person } from '../../sdk/typescript/test/service.mjs';
import { contractFile } from '../prism.mjs';
import { reset, startSandbox } from '../sandbox.mjs';
import { startTamperingProxy } from '../tampering-proxy.mjs';

const workflowsFile = fileURLToPath(new URL('../../arazzo.yaml', import.meta.url));
const redocly = fileURLToPath(new URL('../node_modules/.bin/redocly', import.meta.url));
const { info, workflows } = parse(await readFile(workflowsFile, 'utf8'));

let sandbox;
before(async () => (sandbox = await startSandbox()));
after(() => sandbox?.stop());

/** Runs a command of Redocly. Returns its report, or throws it. */
async function run(...command) {
  const env = { ...process.env, REDOCLY_TELEMETRY: 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true' };
  try {
    return (await promisify(execFile)(redocly, command, { env })).stdout;
  } catch (error) {
    throw new Error(error.stdout + error.stderr, { cause: error });
  }
}

/** Executes a workflow for two patients with the demo data. */
async function execute(workflow, baseUrl = sandbox.baseUrl) {
  await reset(sandbox.baseUrl);
  const input = {
    token: await sandbox.tokenOf(person(3)),
    rivalToken: await sandbox.tokenOf(person(4)),
    dateFrom: dayAhead(1),
    idempotencyKey: randomUUID(),
  };
  const where = ['--workflow', workflow, '--server', `talon=${baseUrl}`];
  return run('respect', workflowsFile, ...where, '--input', JSON.stringify(input));
}

test('Promise: the workflows are valid Arazzo of the version of the contract', async () => {
  await run('lint', '--extends', 'recommended-strict', workflowsFile);
  assert.equal(info.version, parse(await readFile(contractFile, 'utf8')).info.version);
});

for (const { workflowId } of workflows) {
  test(`Promise: the workflow ${workflowId} succeeds, with valid responses`, async (t) => {
    const report = await execute(workflowId);
    assert.match(report, /✓ schema check/);
    t.diagnostic(/Steps: .*/.exec(report)[0]);
  });
}

test('Promise: a workflow fails if a response is another one', async (t) => {
  const proxy = await startTamperingProxy(sandbox.baseUrl, ({ body }) => {
    if (body?.status === 'Cancelled') body.status = 'Booked';
  });
  t.after(() => proxy.stop());
  await assert.rejects(execute('cancel', proxy.baseUrl), /✗ success criteria check - .*'Cancelled'/);
});
