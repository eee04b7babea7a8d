// The third-party generators. Each generates a client from a contract into its folder of clients/,
// compiles it strictly together with the program there, and returns the program as a function.
import { execFile } from 'node:child_process';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const exec = promisify(execFile);
const here = fileURLToPath(new URL('.', import.meta.url));
const clients = fileURLToPath(new URL('clients', import.meta.url));

/**
 * The generators by name. The parameter is the path of the contract.
 * @type {Record<string, (contract: string) => Promise<import('./clients/story.d.ts').Story>>}
 */
export const generators = {
  async ogen(contract) {
    const output = await emptyFolder('ogen');
    await go('tool', 'ogen', '--loglevel', 'error', '--target', output, '--package', 'talon', contract);
    return goStory('ogen');
  },

  async 'oapi-codegen'(contract) {
    const output = join(await emptyFolder('oapi-codegen'), 'talon.gen.go');
    await go('tool', 'oapi-codegen', '-package', 'talon', '-o', output, contract);
    return goStory('oapi-codegen');
  },

  async 'openapi-typescript'(contract) {
    // It also reads a redocly.yaml in its working folder: not the one of this folder.
    const cwd = await emptyFolder('openapi-typescript');
    await runTool('openapi-typescript', [contract, '--output', 'talon.ts'], { cwd });
    return typeScriptStory('openapi-typescript');
  },

  async orval(contract) {
    await emptyFolder('orval');
    const env = { ...process.env, CONTRACT: contract };
    await runTool('orval', [], { cwd: join(clients, 'orval'), env });
    return typeScriptStory('orval');
  },

  async 'swagger-typescript-api'(contract) {
    const output = await emptyFolder('swagger-typescript-api');
    const command = ['generate', '--path', contract, '--output', output, '--name', 'talon.ts'];
    await runTool('swagger-typescript-api', command);
    // The generated file tells the compiler to skip it.
    const file = join(output, 'talon.ts');
    await writeFile(file, (await readFile(file, 'utf8')).replace('// @ts-nocheck\n', ''));
    return typeScriptStory('swagger-typescript-api');
  },
};

/** Runs a program. Its error has the whole output: some compilers print their errors to stdout. */
async function run(program, parameters, options = {}) {
  try {
    return await exec(program, parameters, { maxBuffer: 16 << 20, ...options });
  } catch (error) {
    throw new Error(`${error.message}\n${error.stdout}`, { cause: error });
  }
}

/** Runs a program of an npm package, in this folder unless the options have another one. */
export const runTool = (name, parameters, options = {}) =>
  run(join(here, 'node_modules/.bin', name), parameters, { cwd: here, ...options });

/** Returns the empty folder for the output of a generator. */
async function emptyFolder(generator) {
  const folder = join(clients, generator, 'generated');
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder);
  return folder;
}

/** Runs the go command in the module of the Go clients. */
const go = (...command) => run('go', command, { cwd: clients });

async function goStory(generator) {
  await go('vet', `./${generator}/...`);
  const program = join(clients, generator, 'dist', generator);
  await go('build', '-o', program, `./${generator}`);
  return async (input) => JSON.parse((await run(program, [JSON.stringify(input)])).stdout);
}

async function typeScriptStory(generator) {
  await runTool('tsc', ['--project', join(clients, generator), '--pretty', 'false']);
  const { story } = await import(`./clients/${generator}/dist/client.js`);
  return story;
}
