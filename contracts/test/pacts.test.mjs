// Verifies that the real service keeps the pacts in this repository.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { startSandbox } from '../sandbox.mjs';
import { startTamperingProxy } from '../tampering-proxy.mjs';
import { ourPacts, summary, verify } from '../verify.mjs';

let sandbox;
before(async () => (sandbox = await startSandbox()));
after(() => sandbox?.stop());

test('the service keeps the pacts', async (t) => {
  const verification = await verify({ sandbox: sandbox.baseUrl, pacts: await ourPacts() });
  assert.deepEqual(verification.failures, []);
  t.diagnostic(summary(verification));
});

// Each change would break a consumer. The verification must report exactly these.
const breaks = [
  {
    what: 'a rule is renamed',
    where: ({ body }) => body?.rule === 'slot_full',
    change: ({ body }) => (body.rule = 'slot_busy'),
    found: {
      'patient-portal and talon Given slot_full - to book a cell that somebody else has':
        /^\$\.rule: Expected 'slot_busy'/,
    },
  },
  {
    what: 'a message is reworded',
    where: ({ body }) => body?.rule === 'slot_taken',
    change: ({ body }) => (body.message = 'Это время уже занято.'),
    found: { 'patient-portal and talon Given slot_taken - to book a cell that somebody else has': /^\$\.message: / },
  },
  {
    what: 'a message code is changed',
    where: ({ body }) => body?.rule === 'mkab_absent',
    change: ({ body }) => (body.message_code = '4004'),
    found: { 'call-centre and talon Given mkab_absent - to book what cannot be': /^\$\.message_code: Expected '4004'/ },
  },
  {
    what: 'a field is dropped',
    where: ({ body }) => body?.heldUntil !== undefined,
    change: ({ body }) => delete body.heldUntil,
    found: { 'patient-portal and talon Given held - to hold a cell': /^\$: .*heldUntil/ },
  },
  {
    what: 'a status is changed',
    where: ({ body }) => body?.rule === 'mkab_closed',
    change: (response) => (response.status = 400),
    found: { 'call-centre and talon Given mkab_closed - to book what cannot be': /expected 403 but was 400/ },
  },
  {
    what: 'a header is dropped',
    where: ({ body }) => body?.rule === 'overloaded',
    change: ({ headers }) => delete headers['retry-after'],
    found: {
      'patient-portal and talon Given overloaded - to book while the service has too much to do':
        /^Retry-After: .*missing/,
    },
  },
];

test('changes of the service are reported', async (t) => {
  const tampering = await startTamperingProxy(sandbox.baseUrl, (response) => {
    for (const { where, change } of breaks) if (where(response)) change(response);
  });
  try {
    const { failures } = await verify({
      sandbox: sandbox.baseUrl,
      provider: tampering.baseUrl,
      pacts: await ourPacts(),
    });
    const reasons = new Map(
      failures.map((failure) => [failure.interaction.replace('Verifying a pact between ', ''), failure.reasons]),
    );
    for (const { what, found } of breaks) {
      await t.test(what, () => {
        for (const [interaction, reason] of Object.entries(found)) {
          assert.equal(
            reasons.get(interaction)?.length,
            1,
            `${interaction} fails for one reason, of ${[...reasons.keys()].join(', ')}`,
          );
          assert.match(reasons.get(interaction)[0], reason);
          reasons.delete(interaction);
        }
      });
    }
    assert.deepEqual([...reasons.keys()], [], 'unchanged interactions do not fail');
  } finally {
    await tampering.stop();
  }
});

test('the test of the README writes a pact that the service keeps, with the output of the README', async () => {
  const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8');
  const folder = await mkdtemp(join(tmpdir(), 'talon-kiosk-'));
  try {
    const [, program] = /^```js\n(.*?)^```$/ms.exec(readme);
    await writeFile(join(folder, 'kiosk.mjs'), program);
    await symlink(fileURLToPath(new URL('../node_modules', import.meta.url)), join(folder, 'node_modules'));
    const env = { ...process.env, PACT_DO_NOT_TRACK: '1' };
    await promisify(execFile)(process.execPath, ['kiosk.mjs'], { cwd: folder, env });
    const pact = join(folder, 'pacts/kiosk-talon.json');
    const verification = await verify({ sandbox: sandbox.baseUrl, pacts: [pact] });
    assert.deepEqual(verification.failures, []);
    assert.ok(readme.includes(`\n${summary(verification)}\n`), summary(verification));
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('an unknown provider state is rejected with its name', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'talon-pact-'));
  try {
    const [file] = await ourPacts();
    const pact = JSON.parse(await readFile(file, 'utf8'));
    pact.interactions[0].providerStates = [{ name: 'slot_busy' }];
    await writeFile(join(folder, 'pact.json'), JSON.stringify(pact));
    const unknown = `${pact.consumer.name}, «${pact.interactions[0].description}»: slot_busy`;
    await assert.rejects(verify({ sandbox: sandbox.baseUrl, pacts: [join(folder, 'pact.json')] }), {
      message: `unknown provider states; GET /sandbox/scenarios lists the known ones:\n  ${unknown}`,
    });
  } finally {
    await rm(folder, { recursive: true });
  }
});
