// Tests that the programs of the documents compile and work, in the order of this file, in a project
// with the packed package and a new demo.
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Webhook } from 'standardwebhooks';
import { createProject, root } from './project.mjs';
import { startProxy } from './proxy.mjs';
import { dayAhead, direction, lpu, person, startTalon } from './service.mjs';

/** The programs by their names, which are in their first lines. */
const programs = new Map();
for (const page of ['README.md', '../../docs/tour.md'])
  for (const [, code, name] of (await readFile(join(root, page), 'utf8')).matchAll(/^```ts\n(\/\/ (\S+)\n.*?)^```$/gms))
    programs.set(name, code);

/** The guid of a cell of the demo by its id. */
const cell = (/** @type {number} */ id) => `de300000-0009-4000-8000-${String(id).padStart(12, '0')}`;

/** @type {Awaited<ReturnType<typeof createProject>>} */
let project;
/** @type {Awaited<ReturnType<typeof startTalon>>} */
let service;
/** @type {Awaited<ReturnType<typeof startProxy>>} */
let proxy;
before(async () => {
  project = await createProject();
  service = await startTalon();
  // Cells from tomorrow: one of today can start between the list and the booking.
  proxy = await startProxy(service.baseUrl, {
    rewrite: (url) => url.pathname.endsWith('/slots') && url.searchParams.set('dateFrom', dayAhead(1)),
  });
  for (const [name, code] of programs) await writeFile(join(project.folder, name), code);
});
after(async () => {
  await proxy?.stop();
  await service?.stop();
  await project?.remove();
});

test('Promise: the programs of the documents compile for Node and for a bundler', async () => {
  const files = [...programs.keys()].filter((name) => name.endsWith('.ts'));
  const bundler = { module: 'ESNext', moduleResolution: 'Bundler', noEmit: 'true' };
  assert.equal(await project.compile(files, bundler), '');
  assert.equal(await project.compile(files, { module: 'NodeNext', moduleResolution: 'NodeNext' }), '');
});

const booked = /^Booked: \S+, \d+ \S+ \d{4} .+ \d\d:\d\d\n$/;
const time = String.raw`\d{4}-\d\d-\d\dT\d\d:\d\d:00\+03:00`;

/**
 * The runs of the programs: what each does, and what it prints.
 * @type {Run[]}
 * @typedef {object} Run
 * @property {string} program
 * @property {string} does
 * @property {RegExp} output
 * @property {number} [patient]
 * @property {string[]} [args]
 * @property {typeof proxy.faults} [faults] Of its requests.
 */
const runs = [
  { program: 'ready.cjs', does: 'finds the service ready', output: /^ready\n$/ },
  { program: 'book.mjs', does: 'books an appointment', output: booked },
  { program: 'repeat.ts', does: 'moves an appointment', output: /^Moved\.\n$/ },
  {
    program: 'repeat.ts',
    does: 'moves an appointment although the responses are lost',
    faults: [undefined, undefined, 'drop', 'drop', 'drop', 'drop'],
    output: /^NetworkError after 4 tries: once more\nIt was moved, but the response was lost\.\n$/,
  },
  { program: 'cancel.ts', does: 'cancels an appointment', output: /^Запись на прием отменена\n$/ },
  { program: 'cancel.ts', does: 'ends if there is nothing to cancel', output: /^$/ },
  { program: 'tour.mjs', does: 'books the first example', output: booked },
  {
    program: 'remedies.ts',
    does: 'offers the nearest cells instead of a full one',
    patient: 4,
    args: [direction(4, 1), 'Consult', lpu.А, lpu.Б, cell(20914)],
    output: new RegExp(`занят.*\n(Free: ${time} .+\n)+$`),
  },
  {
    program: 'remedies.ts',
    does: 'finds the existing appointment',
    patient: 2,
    args: [direction(2, 1), 'Consult', lpu.А, lpu.Б, cell(20815)],
    output: new RegExp(`уже есть запись.*\nBooked already: ${time}\n$`),
  },
  {
    program: 'remedies.ts',
    does: 'says who can fix the cause of any other refusal',
    patient: 5,
    args: [direction(5, 1), 'Consult', lpu.А, lpu.Б, cell(20801)],
    output: /\nWho can fix it: patient\n$/,
  },
  {
    program: 'remedies.ts',
    does: 'books a cell',
    patient: 5,
    args: [direction(5, 1), 'Consult', lpu.А, lpu.Б, cell(20815)],
    output: new RegExp(`^Booked: ${time}\n$`),
  },
  {
    program: 'schedule.ts',
    does: 'prints the free cells by day',
    patient: 3,
    args: [direction(3, 1)],
    output: /^(\d+ \S+: \d\d:\d\d(, \d\d:\d\d)*\n)+$/,
  },
  {
    program: 'import.ts',
    does: 'brings in schedules and prints the bad lines',
    output: new RegExp(
      '^Cells of the first day: 1\n(Lines: \\d+ of 60\n)*Lines: 60 of 60\ncompleted, cells added: 30\n' +
        '(Line \\d+: \\S.+ \\(resource_absent\\)\n){30}$',
    ),
  },
  {
    program: 'follow.ts',
    does: 'prints what has happened',
    output: /^([a-z]+\.[a-z]+ [0-9a-f-]{36} \d*\n)+$/,
  },
];
for (const { program, does, output, patient = 1, args = [], faults = [] } of runs) {
  test(`Promise: ${program} ${does}`, async () => {
    proxy.clear();
    proxy.faults.push(...faults);
    const env = { TOKEN: await service.tokenOf(person(patient)), TALON_URL: proxy.baseUrl };
    assert.match(await project.node([program.replace(/\.ts$/, '.js'), ...args], env), output);
  });
}

test('Promise: receive.ts accepts signed events only, and prints each once, also after a restart', async () => {
  const [line] = (await readFile(join(root, '../../internal/events/testdata/deliveries.ndjson'), 'utf8')).split('\n');
  const original = JSON.parse(JSON.parse(line).body);
  const moved = (/** @type {string} */ id, /** @type {number} */ version) => ({
    ...original,
    id,
    type: 'appointment.moved',
    data: { ...original.data, version },
  });
  const [newest, stale] = [moved('1566291600087417', 3), moved('1566291600087418', 2)];

  const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
  const library = new Webhook(secret);
  const env = { PORT: '0', WEBHOOK_KEYS: `whsec_${'A'.repeat(43)}= ${secret}` };
  /** Runs the program, sends events, and returns their statuses and what it has printed. */
  const run = async (/** @type {{ event: typeof original, forged?: boolean }[]} */ events) => {
    const program = project.start(['receive.js'], env);
    try {
      const [, address] = await program.waitFor(/^Listening on (\S+)\n/);
      const statuses = [];
      for (const { event, forged } of events) {
        const [now, body] = [new Date(), JSON.stringify(event)];
        const headers = {
          'webhook-id': event.id,
          'webhook-timestamp': String(Math.floor(now.getTime() / 1000)),
          'webhook-signature': library.sign(event.id, now, forged ? '' : body),
        };
        statuses.push((await fetch(`http://${address}`, { method: 'POST', headers, body })).status);
      }
      return { statuses, printed: (await program.stop()).split('\n').slice(1, -1) };
    } finally {
      await program.stop();
    }
  };
  const sent = [original, original, newest, stale].map((event) => ({ event }));
  assert.deepEqual(await run([{ event: newest, forged: true }, ...sent]), {
    statuses: [400, 204, 204, 204, 204],
    printed: [`appointment.booked ${original.subject}`, `appointment.moved ${original.subject}`],
  });
  assert.deepEqual(await run(sent), { statuses: [204, 204, 204, 204], printed: [] });
});

test('Promise: the documents have no other programs', async () => {
  assert.deepEqual(new Set([...runs.map(({ program }) => program), 'receive.ts']), new Set(programs.keys()));
  for (const page of ['README.md', '../../docs/tour.md'])
    assert.doesNotMatch(await readFile(join(root, page), 'utf8'), /^```ts\n(?!\/\/ \S+\n)/m);
});

test('Promise: the README names every operation', async () => {
  const readme = await readFile(join(root, 'README.md'), 'utf8');
  const contract = await readFile(join(root, '../../openapi.yaml'), 'utf8');
  const operations = [...contract.matchAll(/^ {6}operationId: (\w+)$/gm)].map(([, name]) => name);
  assert.ok(operations.length > 50, `${operations.length} operations`);
  assert.deepEqual(operations.filter((name) => !readme.includes(`\`${name}\``)), []);
});
