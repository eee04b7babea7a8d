// Tests that the compiler reports a change of the contract to a consumer: the portal does not
// compile with the SDK of a changed contract. The SDK's own tests show that an exhaustive switch
// does not compile without a case for a rule.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { contractFile } from '../prism.mjs';

const run = promisify(execFile);
const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
const here = fileURLToPath(new URL('..', import.meta.url));
const sdk = fileURLToPath(new URL('../../sdk/typescript', import.meta.url));

let folder;
let errors;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'talon-types-'));
  const contract = await readFile(contractFile, 'utf8');
  await writeFile(
    join(folder, 'openapi.yaml'),
    contract.replaceAll(/\bslot_full\b/g, 'slot_busy').replaceAll(/\bheldUntil\b/g, 'until'),
  );

  const copy = join(folder, 'sdk/typescript');
  for (const part of ['package.json', 'tsconfig.json', 'scripts', 'src'])
    await cp(join(sdk, part), join(copy, part), { recursive: true });
  await symlink(join(sdk, 'node_modules'), join(copy, 'node_modules'));
  await run(process.execPath, ['scripts/gen.mjs'], { cwd: copy });
  await run(process.execPath, [tsc], { cwd: copy });

  const consumer = join(folder, 'contracts');
  for (const part of ['package.json', 'tsconfig.json', 'patient-portal/portal.ts'])
    await cp(join(here, part), join(consumer, part));
  await mkdir(join(consumer, 'node_modules'));
  await symlink(copy, join(consumer, 'node_modules/talon-sdk'));
  const { stdout } = await run(process.execPath, [tsc, '--noEmit', '--pretty', 'false'], { cwd: consumer }).then(
    () => assert.fail('the portal compiles with the changed contract'),
    (failed) => failed,
  );
  errors = stdout.trim().split(/\n(?! )/);
});
after(() => rm(folder, { recursive: true, force: true }));

test('a case of a removed rule does not compile', () => takeError(/TS2678: Type '"slot_full"' is not comparable/));
test('a removed field does not compile', () => takeError(/TS2339: Property 'heldUntil' does not exist/));
test('there are no other errors', () => assert.deepEqual(errors, []));

/** Removes the first error of the compiler with the text. */
function takeError(text) {
  const index = errors.findIndex((error) => text.test(error));
  assert.notEqual(index, -1, `not among the errors:\n${errors.join('\n')}`);
  const [error] = errors.splice(index, 1);
  assert.match(error, /^patient-portal\/portal\.ts\(\d+,\d+\): /);
}
