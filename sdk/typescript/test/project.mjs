// Creates an empty project in which the packed package is installed, as an integrator has it.
import { execFile, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** The folder of the package. */
export const root = fileURLToPath(new URL('..', import.meta.url));

/** Creates the project. Its files are ES modules unless their names say otherwise. */
export async function createProject() {
  const folder = await mkdtemp(join(tmpdir(), 'talon-sdk-user-'));
  await writeFile(join(folder, 'package.json'), JSON.stringify({ name: 'user', private: true, type: 'module' }));
  const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', folder], { cwd: root });
  // Offline: the package must not need other packages.
  const tarball = join(folder, JSON.parse(stdout)[0].filename);
  await run('npm', ['install', '--offline', '--no-audit', '--no-fund', tarball], { cwd: folder });

  return {
    folder,

    /** Runs a program with Node and returns its output. */
    node: async (/** @type {string[]} */ args, /** @type {Record<string, string>} */ env) => {
      const { stdout } = await run('node', args, { cwd: folder, env: { ...process.env, ...env } });
      return stdout;
    },

    /** Starts a program, by default with Node, that runs until it is stopped. */
    start: (/** @type {string[]} */ args, /** @type {Record<string, string>} */ env, command = 'node', cwd = folder) => {
      const program = spawn(command, args, { cwd, env: { ...process.env, ...env } });
      const ended = new Promise((resolve) => program.once('close', resolve));
      let [output, errors] = ['', ''];
      program.stderr.on('data', (chunk) => (errors += chunk));
      program.stdout.on('data', (chunk) => (output += chunk));
      return {
        /** Waits until the output matches. */
        waitFor: async (/** @type {RegExp} */ pattern) => {
          for (;;) {
            const match = pattern.exec(output);
            if (match) return match;
            const read = new Promise((resolve) => program.stdout.once('data', resolve));
            await Promise.race([read, ended]);
            if (program.exitCode !== null) throw new Error(`${args} exited:\n${errors}`);
          }
        },
        /** Stops the program and returns its output. */
        stop: async () => {
          program.kill();
          await ended;
          return output;
        },
      };
    },

    /** Compiles files in strict mode, and returns the errors. */
    compile: async (/** @type {string[]} */ files, /** @type {Record<string, string>} */ options) => {
      const all = { target: 'ES2022', types: 'node', typeRoots: join(root, 'node_modules/@types'), ...options };
      const args = Object.entries(all).flatMap(([name, value]) => [`--${name}`, value]);
      const tsc = run(join(root, 'node_modules/.bin/tsc'), ['--strict', ...args, ...files], { cwd: folder });
      const { stdout } = await tsc.catch((error) => error);
      return stdout;
    },

    remove: () => rm(folder, { recursive: true, force: true }),
  };
}
