import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { VERSION } from 'talon-sdk';
import { parse } from 'yaml';
import { createProject, root } from './project.mjs';
import { startTalon } from './service.mjs';

const run = promisify(execFile);
const contract = parse(await readFile(join(root, '../../openapi.yaml'), 'utf8'));
const readme = await readFile(join(root, 'README.md'), 'utf8');

/** @type {Awaited<ReturnType<typeof createProject>>} */
let project;
/** @type {Awaited<ReturnType<typeof startTalon>>} */
let service;
before(async () => {
  project = await createProject();
  await mkdir(join(project.folder, 'classic'));
  await writeFile(join(project.folder, 'classic/package.json'), JSON.stringify({ type: 'commonjs' }));
  service = await startTalon();
});
after(async () => {
  await service?.stop();
  await project?.remove();
});

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
  const installed = join(project.folder, 'node_modules/talon-sdk');
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

const plain = `
const talon = createTalon({ baseUrl: process.env.TALON_URL });
getReadiness(talon).then((outcome) => console.log(orThrow(outcome).status));
`;
for (const [file, line] of Object.entries({
  'import.mjs': `import { createTalon, getReadiness, orThrow } from 'talon-sdk';`,
  'require.cjs': `const { createTalon, getReadiness, orThrow } = require('talon-sdk');`,
})) {
  test(`Promise: JavaScript loads the package by ${file.split('.')[0]}`, async () => {
    await writeFile(join(project.folder, file), line + plain);
    assert.equal(await project.node([file], { TALON_URL: service.baseUrl }), 'ok\n');
  });
}

test('Promise: require loads CommonJS, which Node can load in all versions', () => {
  const { resolve } = createRequire(join(project.folder, 'require.cjs'));
  assert.equal(resolve('talon-sdk'), join(project.folder, 'node_modules/talon-sdk/dist/cjs/index.js'));
});

const typed = `
import { createTalon, getReadiness, orThrow } from 'talon-sdk';
import type { Health, Talon } from 'talon-sdk';

const talon: Talon = createTalon({ baseUrl: process.env.TALON_URL ?? '' });
getReadiness(talon).then((outcome) => {
  const { status }: Health = orThrow(outcome);
  console.log(status);
});
`;
/** @type {Record<string, { file: string, module: string, moduleResolution: string }>} */
const consumers = {
  'an ES module of Node': { file: 'node.mts', module: 'NodeNext', moduleResolution: 'NodeNext' },
  'a CommonJS module of Node': { file: 'node.cts', module: 'NodeNext', moduleResolution: 'NodeNext' },
  'CommonJS with the classic resolution': {
    file: 'classic/index.ts',
    module: 'CommonJS',
    moduleResolution: 'Node10',
  },
};
for (const [name, { file, ...options }] of Object.entries(consumers)) {
  test(`Promise: TypeScript compiles and runs ${name} that uses the package`, async () => {
    await writeFile(join(project.folder, file), typed);
    assert.equal(await project.compile([file], options), '');
    assert.equal(await project.node([file.replace(/ts$/, 'js')], { TALON_URL: service.baseUrl }), 'ok\n');
  });
}

test('Promise: TypeScript compiles for a bundler, and the bundle runs', async () => {
  await writeFile(join(project.folder, 'bundled.ts'), typed);
  const options = { module: 'ESNext', moduleResolution: 'Bundler', noEmit: 'true' };
  assert.equal(await project.compile(['bundled.ts'], options), '');
  await build({
    absWorkingDir: project.folder,
    entryPoints: ['bundled.ts'],
    bundle: true,
    format: 'esm',
    outfile: join(project.folder, 'bundled.mjs'),
  });
  assert.equal(await project.node(['bundled.mjs'], { TALON_URL: service.baseUrl }), 'ok\n');
});

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
