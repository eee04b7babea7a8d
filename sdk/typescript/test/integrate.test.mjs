// Tests docs/integrate.md with the receivers of webhooks of both SDKs, which are those of the
// READMEs. test/e2e/integrate_test.go tests what the page shows.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, readFile, symlink } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import {
  bookVisit,
  cancelAppointment,
  clientCredentials,
  createAppointment,
  createTalon,
  getWebhook,
  items,
  listVisits,
  listWebhookKeys,
  moveAppointment,
  orThrow,
  putAttendance,
  putCancellation,
  putCard,
  putReceipt,
  putReferral,
  putSchedule,
  putVisitSlot,
  putWebhook,
  redeliver,
} from 'talon-sdk';
import { createProject, root } from './project.mjs';
import { commandLine, dayAhead, person, regionClient, startTalon } from './service.mjs';

const run = promisify(execFile);
const repository = join(root, '../..');

/** Returns the guid of an object of the page. */
const guid = (/** @type {string} */ kind, /** @type {number} */ number) =>
  `7a000000-${kind}-4000-8000-${String(number).padStart(12, '0')}`;
const [lpuGuid, resourceGuid] = [guid('0002', 1), guid('0004', 1)];

/** @type {Awaited<ReturnType<typeof createProject>>} */
let project;
/** @type {Awaited<ReturnType<typeof startTalon>>} */
let service;
/** @type {import('talon-sdk').Talon} */
let talon;
before(async () => {
  [project, service] = [await createProject(), await startTalon()];
  const { baseUrl } = service;
  const token = clientCredentials({ baseUrl, clientId: regionClient.guid, secret: regionClient.secret });
  talon = createTalon({ baseUrl, token });
  // What the page needs of the repository. The project has the package of make sdk-artefacts.
  const { folder } = project;
  await mkdir(join(folder, 'bin'));
  await symlink(commandLine, join(folder, 'bin/talon'));
  for (const name of ['sdk', 'go.mod', 'go.sum']) await symlink(join(repository, name), join(folder, name));
  await symlink('.', join(folder, 'dist'));
});
after(async () => {
  await service?.stop();
  await project?.remove();
});

/** Returns ports on which nothing listens. */
async function freePorts(/** @type {number} */ count) {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  const ports = [];
  for (const server of servers) {
    if (!server.listening) await new Promise((resolve) => server.once('listening', resolve));
    ports.push(String(/** @type {import('node:net').AddressInfo} */ (server.address()).port));
    server.close();
  }
  return ports;
}

/** What a visit is, as far as events tell. */
const state = (
  /** @type {number | undefined} */ version,
  /** @type {string} */ became,
  /** @type {string | undefined} */ direction,
) => ({ version, became, direction });

/** Returns the visits that a receiver knows: of each what the event with the newest version says. */
async function copyOf(/** @type {string} */ folder) {
  const copy = new Map();
  for (const line of (await readFile(join(folder, 'received.ndjson'), 'utf8')).trim().split('\n')) {
    /** @type {import('talon-sdk').Event} */
    const { type, subject, data } = JSON.parse(line);
    const [object, what] = type.split('.');
    if (object !== 'appointment' || (copy.get(subject)?.version ?? 0) > (data.version ?? 0)) continue;
    const became = ['cancelled', 'arrived', 'fulfilled', 'no_show'].includes(what) ? what : 'none';
    copy.set(subject, state(data.version, became, data.directionGuid));
  }
  return new Map([...copy].sort());
}

/** Returns the visits that the service has. */
async function visits() {
  const found = new Map();
  for await (const visit of items(listVisits, talon, { path: { lpuGuid } })) {
    const became = visit.status === 'Cancelled' ? 'cancelled' : visit.attendance.value;
    found.set(visit.guid, state(visit.version, became, visit.direction.guid));
  }
  return new Map([...found].sort());
}

/** Waits until a condition holds, for a minute at most. */
async function until(/** @type {() => Promise<boolean>} */ condition) {
  for (const end = Date.now() + 60_000; !(await condition()) && Date.now() < end; ) await sleep(50);
}

/** The receivers: of each the folder and the command, relative to the project, as the page makes them. */
const receivers = [
  { name: 'Go', folder: '.cache/receiver-go', command: './receive', args: [] },
  { name: 'TypeScript', folder: '.cache/receiver-ts', command: 'node', args: ['receive.mjs'] },
];

test('Promise: docs/integrate.md can be pasted, and both receivers have all visits', async () => {
  const page = await readFile(join(repository, 'docs/integrate.md'), 'utf8');
  const blocks = [...page.matchAll(/^```(json)?\n(.*?)^```$/gms)].flatMap(([, json, block]) => (json ? [] : [block]));
  assert.ok(blocks.length > 20, `${blocks.length} blocks`);
  const [go, ts] = await freePorts(2);
  const script = ["trap 'kill $(jobs -p) 2>/dev/null || true' EXIT", 'make() { :; }', ...blocks]
    .join('\n')
    .replaceAll('http://127.0.0.1:8080', service.baseUrl)
    .replaceAll('8090', go)
    .replaceAll('8091', ts);
  const npm = { npm_config_offline: 'true', npm_config_audit: 'false', npm_config_fund: 'false' };
  const env = { ...process.env, ...npm, DATABASE_URL: service.database, PORT: go };
  await run('bash', ['-euc', script], { cwd: project.folder, env, timeout: 120_000 });
  const stored = await visits();
  assert.equal(stored.size, 3);
  for (const { folder } of receivers) assert.deepEqual(await copyOf(join(project.folder, folder)), stored);
});

/** The patients of the next test, by their numbers in docs/demo.md. */
const patients = Array.from({ length: 9 }, (_, i) => i + 1);

/** Returns the guids of the cells of the next test: two for each patient, far ahead. */
const cellOf = (/** @type {number} */ patient, second = false) => guid('0009', 100 + patient + (second ? 50 : 0));

/** Writes a card and a referral for each patient, and the cells, as the page does. */
async function bringIn() {
  for (const patient of patients) {
    const [PersonGuid, CardGuid] = [person(patient), guid('0006', 100 + patient)];
    /** @type {import('talon-sdk').CardRequest} */
    const card = {
      Version: 1,
      PersonGuid,
      Surname: 'Орлов',
      Name: 'Алексей',
      BirthDate: '1985-03-14',
      Sex: 'male',
      Policies: [],
    };
    orThrow(await putCard(talon, { path: { lpuGuid, cardGuid: CardGuid }, body: card }));
    /** @type {import('talon-sdk').ReferralRequest} */
    const referral = {
      Version: 1,
      CardGuid,
      Type: 'Consult',
      Number: `7001-10${patient}`,
      SpecialityCode: '28',
      SpecialityName: 'Офтальмология',
      Date: dayAhead(0),
      DateEnd: dayAhead(60),
      DateCreate: new Date().toISOString(),
      LpuToGuid: lpuGuid,
    };
    const path = { lpuGuid, directionGuid: guid('0007', 100 + patient) };
    orThrow(await putReferral(talon, { path, body: referral }));
  }
  const morning = Date.parse(`${dayAhead(5)}T06:00:00Z`);
  const at = (/** @type {number} */ minute) => new Date(morning + minute * 60_000).toISOString();
  const cells = patients.flatMap((patient) =>
    [false, true].map((second) => {
      const minute = patient * 10 + (second ? 200 : 0);
      const times = { Start: at(minute), End: at(minute + 10) };
      return { Guid: cellOf(patient, second), ...times, Capacity: 1, FlagAccess: 5, BusyType: 1 };
    }),
  );
  const query = { from: `${dayAhead(5)}T00:00:00+03:00`, to: `${dayAhead(6)}T00:00:00+03:00` };
  const body = { Version: 1, Cells: cells };
  orThrow(await putSchedule(talon, { path: { lpuGuid, resourceGuid }, query, body }));
}

test('Promise: the copies of both receivers equal the visits after an outage of each', async () => {
  await bringIn();
  const hooks = [];
  for (const [i, { name, folder, command, args }] of receivers.entries()) {
    const path = { webhookGuid: guid('0010', 10 + i) };
    orThrow(await putWebhook(talon, { path, body: { Url: 'http://127.0.0.1:9/', LpuGuid: lpuGuid, Enabled: false } }));
    const [key] = orThrow(await listWebhookKeys(talon, { path })).items;
    const [port] = await freePorts(1);
    const cwd = join(project.folder, folder);
    const start = async () => {
      const program = project.start(args, { PORT: port, WEBHOOK_KEYS: key.publicKey }, command, cwd);
      await program.waitFor(/^Listening on /);
      return program;
    };
    const program = await start();
    orThrow(await putWebhook(talon, { path, body: { Url: `http://127.0.0.1:${port}/`, LpuGuid: lpuGuid } }));
    const Since = new Date(Date.now() - 3_600_000).toISOString();
    orThrow(await redeliver(talon, { path, body: { Since } }));
    hooks.push({ name, path, cwd, start, program });
  }
  try {
    const clients = new Map();
    for (const patient of patients) {
      const token = await service.tokenOf(person(patient));
      clients.set(patient, createTalon({ baseUrl: service.baseUrl, token: () => token }));
    }
    const referral = (/** @type {number} */ patient) => ({
      DirectionGuid: guid('0007', 100 + patient),
      DirectionType: 'Consult',
      LpuFromGuid: lpuGuid,
    });
    const book = async (/** @type {number} */ patient, second = false) => {
      const body = { ...referral(patient), LpuToGuid: lpuGuid, SlotGuid: cellOf(patient, second) };
      const booked = orThrow(await createAppointment(clients.get(patient), { body }));
      return booked.consultDirection?.appointment.guid ?? '';
    };
    const atDesk = async (/** @type {number} */ patient) => {
      const body = { PersonGuid: person(patient), ...referral(patient), OutOfSchedule: true, DocPrvdGuid: resourceGuid };
      return orThrow(await bookVisit(talon, { path: { lpuGuid }, body: { ...body, Date: dayAhead(0) } })).guid;
    };
    /** @typedef {import('talon-sdk').AttendanceRequest} AttendanceRequest */
    const attend = async (/** @type {string} */ appointmentGuid, /** @type {AttendanceRequest['Attendance']} */ value) =>
      orThrow(await putAttendance(talon, { path: { lpuGuid, appointmentGuid }, body: { Attendance: value } }));
    const cancelHere = async (/** @type {string} */ appointmentGuid) => {
      /** @type {import('talon-sdk').CancellationRequest} */
      const body = { Initiator: 'institution', Reason: 'doctor_absent', Text: 'Врач заболел' };
      orThrow(await putCancellation(talon, { path: { lpuGuid, appointmentGuid }, body }));
    };
    const confirm = async (/** @type {string} */ appointmentGuid, /** @type {number} */ Version) =>
      orThrow(await putReceipt(talon, { path: { lpuGuid, appointmentGuid }, body: { Version, Status: 'accepted' } }));

    const guids = new Map();
    for (const patient of patients.slice(0, 6)) guids.set(patient, await book(patient));
    for (const patient of patients.slice(6)) guids.set(patient, await atDesk(patient));
    await confirm(guids.get(1), 1);
    await attend(guids.get(7), 'arrived');

    // Each receiver is down for a while, and events fail meanwhile.
    for (const [i, hook] of hooks.entries()) {
      await hook.program.stop();
      const [patient, other, third] = [[1, 2, 3], [4, 5, 6]][i];
      const path = { appointmentGuid: guids.get(patient) };
      orThrow(await moveAppointment(clients.get(patient), { path, body: { SlotGuid: cellOf(patient, true) } }));
      orThrow(await cancelAppointment(clients.get(patient), { path }));
      guids.set(patient, await book(patient));
      /** @type {import('talon-sdk').VisitSlotRequest} */
      const body = { Version: 1, SlotGuid: cellOf(other, true), Reason: 'schedule_changed', Text: 'Позже' };
      orThrow(await putVisitSlot(talon, { path: { lpuGuid, appointmentGuid: guids.get(other) }, body }));
      await cancelHere(guids.get(other));
      await cancelHere(guids.get(third));
      await attend(guids.get(7 + i), i === 0 ? 'fulfilled' : 'arrived');
      const failing = async () => orThrow(await getWebhook(talon, { path: hook.path })).failures > 0;
      await until(failing);
      assert.ok(await failing(), `${hook.name}: nothing has failed`);
      hook.program = await hook.start();
    }
    await attend(guids.get(8), 'none');
    await cancelHere(guids.get(8));
    guids.set(8, await atDesk(8));
    await attend(guids.get(9), 'fulfilled');
    await confirm(guids.get(9), 2);

    const stored = await visits();
    assert.equal(stored.size, 3 + patients.length + 3);
    for (const { path, cwd, name } of hooks) {
      await until(async () => JSON.stringify([...(await copyOf(cwd))]) === JSON.stringify([...stored]));
      assert.deepEqual(await copyOf(cwd), stored, name);
      const settled = async () => orThrow(await getWebhook(talon, { path })).waiting === 0;
      await until(settled);
      assert.ok(await settled(), `${name}: events wait`);
    }
    assert.deepEqual(await visits(), stored);
  } finally {
    for (const { program } of hooks) await program.stop();
  }
});
