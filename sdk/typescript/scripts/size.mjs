// How much of a page's budget the package takes: all of it, and what one use of it leaves after tree-shaking. Fails above the bounds.
import { gzipSync } from 'node:zlib';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const uses = {
  everything: {
    code: `export * from 'talon-sdk';`,
    most: { minified: 17_000, gzipped: 6_400 },
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
    most: { minified: 13_500, gzipped: 5_500 },
  },
};

for (const [name, { code, most }] of Object.entries(uses)) {
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
    if (size[kind] <= most[kind]) continue;
    console.error(`${name}: ${size[kind]} bytes ${kind}, at most ${most[kind]} are allowed`);
    process.exitCode = 1;
  }
}
