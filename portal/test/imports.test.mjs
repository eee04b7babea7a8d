// The modules of the portal, the SDK and the contract tests import each other without cycles.
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Yields the source files of a folder and its subfolders. */
function* sourcesIn(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory() && !['node_modules', 'dist'].includes(entry.name)) yield* sourcesIn(path);
    if (entry.isFile() && /\.(tsx?|mjs)$/.test(entry.name)) yield path;
  }
}

/** Returns the files that a file imports by a relative path. Imports of types count. */
function importsOf(file) {
  const names = [...readFileSync(file, 'utf8').matchAll(/\b(?:from|import)\s*\(?\s*'(\.[^']+)'/g)].map(
    ([, name]) => name,
  );
  return names.flatMap((name) => {
    const path = resolve(dirname(file), name);
    return [path, path.replace(/js$/, 'ts'), path.replace(/js$/, 'tsx')].find(existsSync) ?? [];
  });
}

/** Returns the import cycles of a folder, found depth first, each as `a.ts -> b.ts -> a.ts`. */
function cyclesIn(folder) {
  const visited = new Set();
  const cycles = [];
  const visit = (file, importers) => {
    if (importers.includes(file)) {
      const cycle = [...importers.slice(importers.indexOf(file)), file];
      cycles.push(cycle.map((member) => relative(folder, member)).join(' -> '));
    }
    if (visited.has(file)) return;
    visited.add(file);
    for (const imported of importsOf(file)) visit(imported, [...importers, file]);
  };
  for (const file of sourcesIn(folder)) visit(file, []);
  return cycles;
}

/** The generator of the SDK writes a cycle of types. A cycle with a hand-written module counts. */
const isGenerated = (cycle) => cycle.split(' -> ').every((module) => module.startsWith('gen/'));

for (const folder of ['portal/src', 'sdk/typescript/src', 'contracts']) {
  test(`Promise: the modules of ${folder} have no import cycle`, () => {
    assert.notEqual([...sourcesIn(join(root, folder))].flatMap(importsOf).length, 0, 'the imports are found');
    const cycles = cyclesIn(join(root, folder)).filter((cycle) => !isGenerated(cycle));
    assert.deepEqual(cycles, []);
  });
}

test('Promise: an import cycle is reported with its modules', () => {
  const folder = mkdtempSync(join(tmpdir(), 'talon-imports-'));
  try {
    writeFileSync(join(folder, 'main.ts'), "import { a } from './a.js';\n");
    writeFileSync(join(folder, 'a.ts'), "import {\n  b,\n} from './b.js';\n");
    writeFileSync(join(folder, 'b.tsx'), "import type { A } from './a.js';\n");
    assert.deepEqual(cyclesIn(folder), ['a.ts -> b.tsx -> a.ts']);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
