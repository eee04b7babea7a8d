// Prints the size of the package in a bundle: of all exports, and of what one use needs after
// tree-shaking. Fails if a size exceeds its limit.
import { gzipSync } from 'node:zlib';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const uses = {
  everything: {
    code: `export * from 'talon-sdk';`,
    limit: { minified: 38_000, gzipped: 11_400 },
  },
  'book, and a switch over the refusals': {
    code: `
      import { createAppointment, createTalon } from 'talon-sdk';
      const talon = createTalon({ baseUrl: '', token: () => sessionStorage.getItem('token') });
      export async function book(body) {
        const outcome = await createAppointment(talon, { body });
        if (outcome.ok) return outcome.data;
        switch (outcome.refusal.rule) {
          case 'slot_full':
          case 'slot_taken':
            return outcome.refusal.details?.slots;
          default:
            return outcome.refusal.message;
        }
      }`,
    limit: { minified: 13_500, gzipped: 5_500 },
  },
};

for (const [name, { code, limit }] of Object.entries(uses)) {
  const bundle = await build({
    stdin: { contents: code, resolveDir: fileURLToPath(new URL('..', import.meta.url)) },
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    write: false,
  });
  const [{ contents }] = bundle.outputFiles;
  const size = { minified: contents.length, gzipped: gzipSync(contents, { level: 9 }).length };
  console.log(`${name}: ${size.minified} bytes minified, ${size.gzipped} gzipped`);
  for (const kind of Object.keys(size)) {
    if (size[kind] <= limit[kind]) continue;
    console.error(`${name}: ${size[kind]} bytes ${kind} exceed the limit of ${limit[kind]}`);
    process.exitCode = 1;
  }
}
