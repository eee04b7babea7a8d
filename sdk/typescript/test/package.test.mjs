import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { VERSION } from 'talon-sdk';
import { parse } from 'yaml';
import { startProxy } from './proxy.mjs';
import { dayAhead, startTalon } from './service.mjs';

const run = promisify(execFile);
const root = fileURLToPath(new URL('..', import.meta.url));
const contract = parse(await readFile(join(root, '../../openapi.yaml'), 'utf8'));
const readme = await readFile(join(root, 'README.md'), 'utf8');
const snippets = [...readme.matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map(([, code]) => code);

/** The folder of a project in which the packed package is installed. */
let project = '';
before(async () => {
  project = await mkdtemp(join(tmpdir(), 'talon-sdk-user-'));
  await writeFile(join(project, 'package.json'), JSON.stringify({ name: 'user', private: true, type: 'module' }));
  const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', project], { cwd: root });
  // Offline: the package must not need other packages.
  await run('npm', ['install', '--offline', '--no-audit', '--no-fund', join(project, JSON.parse(stdout)[0].filename)], {
    cwd: project,
  });
});
after(() => rm(project, { recursive: true, force: true }));

test('Promise: the version is the version of the contract', async () => {
  const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
  assert.equal(version, contract.info.version);
  assert.equal(VERSION, contract.info.version);
});

test('Promise: the details of each rule are those of the contract', async () => {
  const [, written] =
    /interface RuleDetails \{\n([\s\S]*?)\n\}/.exec(await readFile(join(root, 'src/refusal.ts'), 'utf8')) ?? [];
  const here = [...written.matchAll(/^ {2}(\w+): \{ (\w+)\?: /gm)].map(([, rule, detail]) => `${rule}: ${detail}`);
  const { ErrorDetails, Rule, ...schemas } = contract.components.schemas;
  const there = Object.entries(ErrorDetails.properties).flatMap(([detail, { $ref, description }]) => {
    const text = description ?? schemas[$ref.split('/').at(-1)].description;
    /** @type {string[]} */
    const rules = Rule['x-extensible-enum'];
    return rules.filter((rule) => text.includes(`\`${rule}\``)).map((rule) => `${rule}: ${detail}`);
  });
  assert.ok(there.length > 0);
  assert.deepEqual(here.sort(), there.sort());
});

test('Promise: the package contains the code, its types, the README and the licence, and nothing else', async () => {
  const installed = join(project, 'node_modules/talon-sdk');
  assert.deepEqual((await readdir(installed)).sort(), ['LICENSE', 'README.md', 'dist', 'package.json']);
  const files = await readdir(join(installed, 'dist'), { recursive: true });
  for (const file of files.filter((name) => name.endsWith('.js')))
    assert.ok(files.includes(file.replace(/js$/, 'd.ts')), file);
  const { dependencies, sideEffects, type } = JSON.parse(await readFile(join(installed, 'package.json'), 'utf8'));
  assert.deepEqual(
    { dependencies, sideEffects, type },
    { dependencies: undefined, sideEffects: false, type: 'module' },
  );
});

test('Promise: the code of the README compiles with the installed package, for Node and for a bundler', async () => {
  await mkdir(join(project, 'readme'));
  for (const [index, code] of snippets.entries()) await writeFile(join(project, 'readme', `snippet${index}.ts`), code);
  await writeFile(join(project, 'node.d.ts'), 'declare const process: { env: Record<string, string | undefined> };');
  for (const [module, moduleResolution] of [
    ['NodeNext', 'NodeNext'],
    ['ESNext', 'Bundler'],
  ]) {
    const options = [
      '--strict',
      '--noEmit',
      '--target',
      'ES2022',
      '--module',
      module,
      '--moduleResolution',
      moduleResolution,
    ];
    const files = ['node.d.ts', ...snippets.map((_, index) => `readme/snippet${index}.ts`)];
    const { stdout } = await run(join(root, 'node_modules/.bin/tsc'), [...options, ...files], { cwd: project }).catch(
      (error) => error,
    );
    assert.equal(stdout, '');
  }
  assert.ok(snippets.length >= 5);
});

/** Lists cells from tomorrow: a cell of today can start between the list and the booking. */
function fromTomorrow(/** @type {URL} */ url) {
  if (url.pathname.endsWith('/slots')) url.searchParams.set('dateFrom', dayAhead(1));
}

const example = await readFile(join(root, 'examples/book.ts'), 'utf8');
test('Promise: the tour of the project shows the example', async () => {
  const front = await readFile(join(root, '../../docs/tour.md'), 'utf8');
  assert.equal(/```ts\n(.*?)```/s.exec(front)?.[1], example);
});

for (const [name, code] of Object.entries({ 'the first code of the README': snippets[0], 'the example': example })) {
  test(`Promise: ${name} books an appointment in a new demo without changes`, async () => {
    const service = await startTalon();
    const proxy = await startProxy(service.baseUrl, { rewrite: fromTomorrow });
    try {
      await writeFile(join(project, 'book.mjs'), code);
      const env = { ...process.env, TOKEN: service.token, TALON_URL: proxy.baseUrl };
      const { stdout } = await run('node', ['book.mjs'], { cwd: project, env });
      assert.match(stdout, /^Booked: \S+, \d+ \S+ \d{4} .+ \d\d:\d\d\n$/);
    } finally {
      await proxy.stop();
      await service.stop();
    }
  });
}

test('Promise: the sizes in the README are within five percent of the measured ones', async () => {
  const { stdout } = await run('node', ['scripts/size.mjs'], { cwd: root });
  const measured = [...stdout.matchAll(/^(.+): (\d+) bytes minified, (\d+) gzipped$/gm)];
  assert.equal(measured.length, 2);
  for (const [, name, ...bytes] of measured) {
    const documented =
      new RegExp(`^\\| ${name} \\| ([\\d.]+) kB \\| ([\\d.]+) kB \\|$`, 'm').exec(readme)?.slice(1) ?? [];
    assert.equal(documented.length, 2, name);
    documented.forEach((kilobytes, index) => {
      const off = Number(kilobytes) * 1_000 - Number(bytes[index]);
      assert.ok(
        Math.abs(off) < Number(bytes[index]) / 20,
        `${name}: the README says ${kilobytes} kB, ${bytes[index]} bytes are measured`,
      );
    });
  }
});
