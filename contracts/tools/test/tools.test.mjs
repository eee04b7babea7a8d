// Tests that third-party generators make a usable client of the contract, and that linters accept the
// contract in OpenAPI 3.1.
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { dayAhead, direction, lpu, person } from '../../../sdk/typescript/test/service.mjs';
import { reset, startSandbox } from '../../sandbox.mjs';
import { startTamperingProxy } from '../../tampering-proxy.mjs';
import { generators, runTool } from '../generators.mjs';

const contract = fileURLToPath(new URL('../../../openapi.yaml', import.meta.url));
const released = fileURLToPath(new URL('../../../docs/contract/released.yaml', import.meta.url));

let sandbox;
let input;
before(async () => {
  sandbox = await startSandbox();
  input = {
    baseUrl: sandbox.baseUrl,
    token: await sandbox.tokenOf(person(1)),
    directionGuid: direction(1, 1),
    lpuToGuid: lpu.Б,
    dateFrom: dayAhead(1),
    fullSlotId: 20914,
  };
});
after(() => sandbox?.stop());
beforeEach(() => reset(sandbox.baseUrl));

const told = {
  status: 'NotBooked',
  booked: [false, true],
  blockedBy: null,
  refused: { status: 400, rule: 'slot_full', details: true },
  startsWithCell: true,
  cancelled: '2000',
};

const stories = {};
for (const [name, generate] of Object.entries(generators)) {
  test(`Promise: a client of ${name} compiles strictly, books, is refused and cancels`, async () => {
    stories[name] = await generate(contract);
    assert.deepEqual(await stories[name](input), told);
  });
}

/** Returns the major version of a contract. */
const majorOf = async (file) => /^ {2}version: (\d+)\./m.exec(await readFile(file, 'utf8'))[1];

/** Returns a copy of a response as a later version may return it: with new fields and new values. */
function later(node) {
  if (Array.isArray(node)) return node.map(later);
  if (node === null || typeof node !== 'object') return node;
  const copy = Object.fromEntries(Object.entries(node).map(([name, value]) => [name, later(value)]));
  for (const name of ['rule', 'status', 'kind', 'restriction', 'mender'])
    if (typeof copy[name] === 'string') copy[name] = 'of_a_later_version';
  return { ...copy, fieldOfALaterVersion: { value: 1 } };
}

test('Promise: a client of this major version reads new fields and values, such as a new rule', async (t) => {
  // If this major version has been released, the client of ogen is that of the release.
  if ((await majorOf(released)) === (await majorOf(contract))) stories.ogen = await generators.ogen(released);
  const proxy = await startTamperingProxy(sandbox.baseUrl, (response) => (response.body = later(response.body)));
  try {
    for (const name of Object.keys(generators)) {
      await t.test(name, async () => {
        await reset(sandbox.baseUrl);
        assert.deepEqual(await stories[name]({ ...input, baseUrl: proxy.baseUrl }), {
          ...told,
          status: 'of_a_later_version',
          refused: { ...told.refused, rule: 'of_a_later_version' },
        });
      });
    }
  } finally {
    await proxy.stop();
  }
});

test('Promise: the linters accept /openapi-3.1.json', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'talon-openapi-'));
  try {
    const file = join(folder, 'openapi-3.1.json');
    await writeFile(file, await (await fetch(`${sandbox.baseUrl}/openapi-3.1.json`)).text());
    await runTool('spectral', ['lint', '--ruleset', 'spectral.yaml', '--fail-severity', 'warn', file]);
    // The exceptions in .redocly.lint-ignore.yaml are for another file.
    await runTool('redocly', ['lint', '--skip-rule', 'no-ambiguous-paths', file]);
  } finally {
    await rm(folder, { recursive: true });
  }
});
