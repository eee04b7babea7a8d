// Starts a real service with the demo data (docs/demo.md) for the tests of this and other packages.
// Each has its own PostgreSQL and its own folder.
import { execFile, spawn } from 'node:child_process';
import { createPrivateKey, sign } from 'node:crypto';
import { existsSync, rmSync } from 'node:fs';
import { chmod, mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../../..', import.meta.url));
const binary = process.env.TALON_BINARY ?? join(root, 'bin/talon-sandbox');

/** The command line of the service, which is built with it. */
export const commandLine = join(dirname(binary), 'talon');

/** The limit of the start in milliseconds, including the creation of the database. */
const startTimeout = 60_000;

/** Returns the guid of a demo patient by the number in docs/demo.md. */
export const person = (/** @type {number} */ number) => `de300000-0005-4000-8000-${String(number).padStart(12, '0')}`;

/** Returns the guid of a demo referral by the number of its patient and its own number. */
export const direction = (/** @type {number} */ patient, /** @type {number} */ number) =>
  `de300000-0007-4000-8000-${String(patient).padStart(4, '0')}${String(number).padStart(8, '0')}`;

/** The guids of the demo institutions by their letters in docs/demo.md. */
export const lpu = {
  А: 'e66e8056-f0bd-4ec3-85f7-28ff5b22db4f',
  Б: '4cb4f1c8-386d-410d-ac5d-fa232bd2afb9',
  В: '1dadf64c-f34a-4023-98a6-3e7b7be4f243',
  Г: '12ab9992-9875-4fb6-a9c0-8504170c1429',
};

/** Returns the day in Moscow that is the given number of days ahead, as `2026-11-30`. */
export const dayAhead = (/** @type {number} */ days) =>
  new Intl.DateTimeFormat('sv-SE', { timeZone: 'Europe/Moscow' }).format(Date.now() + days * 86_400_000);

/** The credentials of the demo's client application. */
export const client = { guid: 'de300000-0003-4000-8000-000000000005', secret: 'demo-secret' };

/** The credentials of the system of institution Б (МИС), which acts for itself. */
export const systemClient = { guid: 'de300000-0003-4000-8000-000000000012', secret: 'demo-secret' };

/** The credentials of the region's system, which acts for all institutions and has all scopes. */
export const regionClient = { guid: 'de300000-0003-4000-8000-000000000020', secret: 'demo-secret' };

/**
 * Starts the service, and builds it first if it is missing. Call `stop` at the end. The service
 * also stops when this process exits.
 * @param {Record<string, string>} environment Settings from docs/configuration.md.
 */
export async function startTalon(environment = {}) {
  if (!existsSync(binary)) await run('make', ['build'], { cwd: root });
  const folder = await mkdtemp(join(tmpdir(), 'talon-demo-'));
  await chmod(folder, 0o711); // under root, PostgreSQL runs as another user and must reach its folder
  const keyFile = join(folder, 'sandbox-key.pem');
  const inherited = Object.entries(process.env).filter(
    ([name]) => name !== 'DATABASE_URL' && !name.startsWith('TALON_'),
  );
  const env = {
    ...Object.fromEntries(inherited),
    TALON_ADDR: '127.0.0.1:0',
    XDG_CACHE_HOME: folder,
    TALON_SANDBOX_KEY_FILE: keyFile,
    ...environment,
  };
  const service = spawn(binary, [], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise((resolve) => service.once('close', resolve).once('error', resolve));
  const stopNow = () => service.kill('SIGTERM');
  process.once('exit', stopNow);
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));

  /** Stops the service and its PostgreSQL, and removes their folder. */
  const stop = async () => {
    process.removeListener('exit', stopNow);
    stopNow();
    await ended;
    rmSync(folder, { recursive: true, force: true });
  };

  try {
    const { baseUrl, database, token } = await readAddress(service, ended);
    /** Returns a token of a patient, issued for a client application. */
    const tokenOf = async (/** @type {string} */ personGuid, clientGuid = client.guid) => {
      const { stdout } = await run(binary, ['token', '--person', personGuid, '--client', clientGuid], { env });
      return stdout.trim();
    };
    /** Returns a token that expired an hour ago. `talon-sandbox token` issues only valid ones. */
    const expiredTokenOf = async (/** @type {string} */ personGuid) => {
      const [header, claims] = (await tokenOf(personGuid)).split('.');
      const decoded = JSON.parse(Buffer.from(claims, 'base64url').toString());
      const past = { ...decoded, iat: decoded.iat - 7200, exp: decoded.iat - 3600 };
      const signed = `${header}.${Buffer.from(JSON.stringify(past)).toString('base64url')}`;
      const key = createPrivateKey(await readFile(keyFile));
      const signature = sign('sha256', Buffer.from(signed), { key, dsaEncoding: 'ieee-p1363' });
      return `${signed}.${signature.toString('base64url')}`;
    };
    return { baseUrl, database, token, tokenOf, expiredTokenOf, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/**
 * Waits until the service is ready. Returns its address, that of its PostgreSQL, which is empty if
 * it is not its own, and a token of the first patient. The service prints all of them.
 * @param {import('node:child_process').ChildProcess} service
 * @param {Promise<unknown>} ended
 * @returns {Promise<{ baseUrl: string, database: string, token: string }>}
 */
function readAddress(service, ended) {
  let output = '';
  return new Promise((resolve, reject) => {
    const fail = (/** @type {string} */ why) => reject(new Error(`Talon ${why}:\n${output}`));
    const timer = setTimeout(fail, startTimeout, `was not ready within ${startTimeout} ms`);
    const read = (/** @type {Buffer} */ chunk) => {
      output += chunk;
      const match = /(http:\/\/\S+)\/docs\/\n[\s\S]*?\n(eyJ\S+)\n[\s\S]*Ctrl-C/.exec(output);
      if (!match) return;
      clearTimeout(timer);
      const [, database = ''] = /^export DATABASE_URL='(.*)'$/m.exec(output) ?? [];
      resolve({ baseUrl: match[1], database, token: match[2] });
    };
    service.stdout?.on('data', read);
    service.stderr?.on('data', read);
    service.once('error', (error) => fail(`could not be started (${error.message})`));
    ended.then(() => fail('exited during its start')).finally(() => clearTimeout(timer));
  });
}
