// Tests the portal in a real browser with the real service.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { dayAhead, direction, lpu, person, startTalon, systemClient } from '../../sdk/typescript/test/service.mjs';
import { startBrowser } from './browser.mjs';

/** @type {Awaited<ReturnType<typeof startTalon>>} */
let talon;
/** @type {Awaited<ReturnType<typeof startBrowser>>} */
let browser;

before(async () => {
  talon = await startTalon();
  browser = await startBrowser();
});
after(async () => {
  await browser?.close();
  await talon?.stop();
});

/** Opens a page in a new browser context. Errors on the page fail the test. */
async function openPage(t, options = {}) {
  const context = await browser.newContext({
    locale: 'ru-RU',
    timezoneId: 'Europe/Moscow',
    viewport: { width: 1100, height: 800 },
    ...options,
  });
  context.setDefaultTimeout(60_000);
  const page = await context.newPage();
  const errors = [];
  page.on('pageerror', (error) => errors.push(error));
  page.on('console', (message) => {
    // The browser logs each response with a status of 400 and above.
    const isRefusal = /^Failed to load resource/.test(message.text());
    if (message.type() === 'error' && !isRefusal) errors.push(message.text());
  });
  t.after(async () => {
    await context.close();
    assert.deepEqual(errors, [], 'the page has no errors');
  });
  return page;
}

const address = (patient, hash = '#/referrals') => `${talon.baseUrl}/portal/?patient=${person(patient)}${hash}`;

/** The first day of listed cells. A cell of today can start between the list and the booking. */
const tomorrow = dayAhead(1);
const cellsOf = (patient, number) => address(patient, `#/referrals/${direction(patient, number)}?from=${tomorrow}`);
const hours = (page) => page.locator('.hours button');
const failure = (page) => page.locator('.failure');

/** The days of the strip. */
const days = (page) => page.locator('.strip li button');

/** The number of cells of a day that the tests use, so that none of their days is ever full. */
const perDay = 8;

/** Shows a day of the strip by its place. */
async function showDay(page, place) {
  await days(page).nth(place).click();
  await days(page).nth(place).and(page.locator('[aria-pressed=true]')).waitFor();
}

/** Chooses a cell by its place in the days of the strip. Returns its text. */
async function choose(page, place) {
  await listed(page);
  await showDay(page, Math.floor(place / perDay));
  const cell = hours(page).nth(place % perDay);
  const name = await cell.innerText();
  await cell.click();
  return name;
}

/** The place of a cell of tomorrow in a strip that begins today. */
const ofTomorrow = (place) => perDay + place;

/** Waits until all cells of the week are listed. */
const listed = (page) => page.getByText('Свободное время на этой неделе').waitFor();

/** Books the cell of the open dialog. */
async function confirm(page) {
  await page.getByText('Время удерживается за вами до').waitFor();
  await page.getByRole('button', { name: 'Записаться' }).click();
}

/** Waits until a condition is true. */
async function eventually(condition) {
  const deadline = AbortSignal.timeout(60_000);
  while (!(await condition())) {
    deadline.throwIfAborted();
    await setImmediate();
  }
}

/** Closes the dialog and waits for the release of its hold. */
async function closeDialog(page) {
  const released = page.waitForResponse(
    (response) => response.request().method() === 'DELETE' && response.url().includes('/hold'),
  );
  await page.keyboard.press('Escape');
  assert.equal((await released).status(), 200);
  await page.getByRole('dialog').waitFor({ state: 'detached' });
}

/** Waits for the message that a change has succeeded, which screen readers announce. */
const shown = (page, message) => page.getByRole('status').locator('.success').getByText(message).waitFor();

async function book(page, patient, number, place) {
  await page.goto(cellsOf(patient, number));
  await choose(page, place);
  await confirm(page);
  await page.getByText('Вы записаны на приём.').waitFor();
}

test('Promise: the first screen shows four people who can book at once, and folds the others away', async (t) => {
  const page = await openPage(t);
  await page.goto(`${talon.baseUrl}/portal/`);
  const people = page.locator('.people a');
  await people.first().waitFor();
  assert.equal(await people.count(), 4);
  for (const text of await people.allInnerTexts()) assert.match(text, /\d+ лет/, 'who it is');
  const { patients } = await (await fetch(`${talon.baseUrl}/sandbox/scenarios`)).json();
  const inGroup = (group) => patients.filter((each) => each.group === group).length;
  const groups = page.locator('details');
  assert.deepEqual(
    (await groups.locator('summary').allInnerTexts()).map((text) => text.replace(/\s+/g, ' ')),
    [
      `Ещё могут записаться ${inGroup('bookable') - 4}`,
      `Получат отказ ${inGroup('refused')}`,
      `Не успеют ${inGroup('race')}`,
      `Встретят сбой ${inGroup('failure')}`,
    ],
  );
  assert.equal(await groups.getByRole('link').count(), 0, 'all groups are folded');
  for (const group of await groups.locator('summary').all()) await group.click();
  assert.equal(await groups.getByRole('link').count(), patients.length - 4);

  for (const link of await people.evaluateAll((links) => links.map(({ href }) => href))) {
    await page.goto(link);
    await page.getByRole('link', { name: 'Выбрать время' }).last().click();
    await hours(page).first().waitFor();
  }
});

test('Promise: a user can pick a patient, book, save the ticket, move and cancel', async (t) => {
  const page = await openPage(t);
  await page.goto(`${talon.baseUrl}/portal/`);
  await page.getByRole('link', { name: 'Орлов Алексей Петрович' }).click();
  const referral = page.getByRole('article', { name: 'Консультация: Неврология' }).filter({ hasText: '00000001002' });
  await referral.getByText('Не записан').waitFor();
  await referral.getByRole('link', { name: 'Выбрать время' }).click();

  await page.getByText('Направление № 00000001002').waitFor();
  const hour = (await choose(page, ofTomorrow(3))).slice(0, 5);
  await page.getByRole('dialog', { name: 'Записаться на приём?' }).waitFor();
  await confirm(page);
  await shown(page, 'Вы записаны на приём.');
  const ticket = page.getByRole('article', { name: 'Талон' });
  const text = await ticket.innerText();
  const place = ['г. Талонск, ул. Лесная, д. 12, корп. 2', '203', '+7 000 555-01-02', 'Возьмите паспорт, полис'];
  const names = ['Орлов Алексей Петрович', 'Демонстрационная поликлиника', 'Врач Невролог'];
  for (const expected of [
    ...names,
    ...place,
    '00000001002',
    'Консультация: Неврология',
    'Записан',
    `${hour}–`,
    'Москва (UTC+3)',
  ]) {
    assert.ok(text.includes(expected), `${expected} is not in: ${text}`);
  }
  const guid = await ticket.locator('figcaption').innerText();
  assert.equal(new URL(page.url()).hash, `#/appointments/${guid}?news=booked`);
  await ticket.getByRole('img', { name: 'QR-код' }).waitFor();

  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('link', { name: 'Сохранить в календарь' }).click(),
  ]);
  assert.match(download.suggestedFilename(), /^talon-\d{4}-\d\d-\d\d-\d{4}\.ics$/);
  const calendar = await readFile(await download.path(), 'utf8');
  assert.match(calendar, new RegExp(`\r\nUID:${guid}\r\n`));
  const booked = await (
    await fetch(`${talon.baseUrl}/appointments/${guid}`, { headers: { Authorization: `Bearer ${talon.token}` } })
  ).json();
  assert.match(
    calendar,
    new RegExp(`\r\nDTSTART:${new Date(booked.start).toISOString().replace(/[-:]|\.000/g, '')}\r\n`),
  );

  await page.getByRole('link', { name: 'Перенести' }).click();
  await page.getByRole('heading', { level: 1, name: 'Перенести запись' }).waitFor();
  const later = (await choose(page, ofTomorrow(5))).slice(0, 5);
  await page.getByText('Время удерживается за вами до').waitFor();
  await page.getByRole('dialog', { name: 'Перенести запись?' }).getByRole('button', { name: 'Перенести' }).click();
  await shown(page, 'Запись перенесена.');
  await ticket.getByText(`${later}–`).waitFor();
  assert.equal(await ticket.locator('figcaption').innerText(), guid, 'the visit is the same');

  await page.getByRole('link', { name: 'Отменить' }).click();
  await page.getByLabel('Причина').fill('Уезжаю; вернусь, "позже"');
  await page.getByRole('button', { name: 'Отменить запись' }).click();
  await shown(page, 'Запись отменена.');
  await ticket.getByText('Уезжаю; вернусь, "позже"').waitFor();

  await page.getByRole('link', { name: 'Записи' }).click();
  await page.getByRole('article').filter({ hasText: 'Неврология' }).getByText('Отменена').waitFor();
  await page.getByRole('link', { name: 'Направления' }).click();
  await referral.getByText('Не записан').waitFor();
  await page.goBack();
  await page.getByRole('heading', { level: 1, name: 'Записи на приём' }).waitFor();
});

test('Promise: a visit that the institution has cancelled shows why, and the patient can book again', async (t) => {
  const page = await openPage(t);
  await page.goto(address(17, '#/appointments'));
  const card = page.getByRole('article').filter({ hasText: 'Медицинская организация отменила эту запись' });
  await card.getByText('Оборудование не работает.').waitFor();
  await card.getByText('Аппарат на ремонте до конца недели').waitFor();
  await card.getByRole('link', { name: 'Записаться снова' }).waitFor();
  await card.getByRole('link', { name: 'Открыть талон' }).click();
  await page.getByText('Медицинская организация отменила эту запись').waitFor();
  const reason = page.getByText('Аппарат на ремонте до конца недели');
  await reason.waitFor();
  assert.equal(await reason.count(), 1);
  await page.getByText('Запишитесь заново по этому направлению.').waitFor();
  await page.getByRole('link', { name: 'Записаться снова' }).click();
  await page.getByText('Направление № 00000017003').waitFor();
  await choose(page, ofTomorrow(2));
  await confirm(page);
  await shown(page, 'Вы записаны на приём.');
  const guid = new URL(page.url()).hash.split(/[/?]/)[2];

  // Now a visit that the desk cancels while the patient has its ticket.
  const system = await (
    await fetch(`${talon.baseUrl}/auth/token`, {
      method: 'POST',
      headers: { Authorization: `Basic ${btoa(`${systemClient.guid}:${systemClient.secret}`)}` },
      body: new URLSearchParams({ grant_type: 'client_credentials' }),
    })
  ).json();
  const cancelled = await fetch(`${talon.baseUrl}/clinic/lpus/${lpu.Б}/appointments/${guid}/cancellation`, {
    method: 'PUT',
    headers: { Authorization: `Bearer ${system.access_token}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ Initiator: 'institution', Reason: 'doctor_absent' }),
  });
  assert.equal(cancelled.status, 200);
  await page.reload();
  await page.getByText('Врач не сможет вас принять.').waitFor();
  assert.equal(await page.getByText('Вы записаны на приём.').count(), 0);
  await page.getByRole('link', { name: 'Записаться снова' }).click();
  await listed(page);
});

/** Returns whether a cell is free for another patient. */
async function isFree(cell) {
  const response = await fetch(
    `${talon.baseUrl}/directions/${direction(19, 2)}/slots?limit=100&dateFrom=${tomorrow}&dateTo=${dayAhead(7)}`,
    { headers: { Authorization: `Bearer ${await talon.tokenOf(person(19))}` } },
  );
  return (await response.json()).items.some(({ guid }) => `cell-${guid}` === cell);
}

test('Promise: a cell is held while the dialog is open, and then released', async (t) => {
  const page = await openPage(t);
  await page.goto(cellsOf(18, 2));
  await choose(page, 3);
  const cell = await hours(page).nth(3).getAttribute('id');
  await page.getByText('Время удерживается за вами до').waitFor();
  assert.equal(await isFree(cell), false);
  await closeDialog(page);
  assert.equal(await isFree(cell), true);
  assert.equal(
    await page.locator(`#${cell}`).evaluate((element) => element === document.activeElement),
    true,
    'the focus returns to the cell',
  );
  await page.locator(`#${cell}`).click();
  await page.getByText('Время удерживается за вами до').waitFor();
  await page.goBack();
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await page.getByRole('heading', { level: 1, name: 'Выберите время' }).waitFor();
  await eventually(() => isFree(cell));
});

test('Promise: a reload keeps the dialog and the hold', async (t) => {
  const page = await openPage(t);
  const released = [];
  page.on('request', (request) => request.method() === 'DELETE' && released.push(request.url()));
  await page.goto(cellsOf(18, 2));
  await choose(page, 10);
  const cell = await hours(page).nth(2).getAttribute('id');
  const held = page.getByText('Время удерживается за вами до');
  const until = await held.innerText();
  const [visit] = await page.getByRole('dialog').locator('.ticket-when').allInnerTexts();
  await page.reload();
  assert.equal(await held.innerText(), until);
  assert.deepEqual(await page.getByRole('dialog').locator('.ticket-when').allInnerTexts(), [visit]);
  assert.equal(await isFree(cell), false);
  assert.deepEqual(released, []);
  await closeDialog(page);
  await eventually(() => isFree(cell));
  await page.reload();
  await listed(page);
  assert.equal(await page.getByRole('dialog').count(), 0, 'a closed dialog stays closed');
});

test('Promise: a visit can be moved to the listed cells, which are held; its own cell is not listed', async (t) => {
  const page = await openPage(t);
  await book(page, 17, 2, 4);
  const released = [];
  page.on('request', (request) => request.method() === 'DELETE' && released.push(request.url()));
  await page.getByRole('link', { name: 'Перенести' }).click();
  await showDay(page, 1);
  const bearer = { Authorization: `Bearer ${await talon.tokenOf(person(17))}` };
  const guid = new URL(page.url()).hash.split('/')[2];
  const slots = `${talon.baseUrl}/directions/${direction(17, 2)}/slots`;
  const { items } = await (
    await fetch(`${slots}?dateFrom=${tomorrow}&dateTo=${tomorrow}&appointmentGuid=${guid}`, { headers: bearer })
  ).json();
  assert.deepEqual(
    await hours(page).evaluateAll((cells) => cells.map(({ id }) => id)),
    items.map((cell) => `cell-${cell.guid}`),
  );
  const { start, resource } = await (await fetch(`${talon.baseUrl}/appointments/${guid}`, { headers: bearer })).json();
  assert.ok(!items.some((cell) => cell.start === start && cell.resource.guid === resource.guid));

  assert.equal(await isFree(`cell-${items[6].guid}`), true);
  await choose(page, ofTomorrow(6));
  await page.getByText('Время удерживается за вами до').waitFor();
  assert.equal(await isFree(`cell-${items[6].guid}`), false);
  await closeDialog(page);
  assert.equal(await isFree(`cell-${items[6].guid}`), true);

  await choose(page, ofTomorrow(6));
  await page.getByText('Время удерживается за вами до').waitFor();
  await page.getByRole('dialog').getByRole('button', { name: 'Перенести' }).click();
  await page.getByText('Запись перенесена.').waitFor();
  assert.equal(released.length, 1, 'the move has used the second hold');
});

test('Promise: the page explains that a visit cannot be moved, and offers no cells', async (t) => {
  const page = await openPage(t);
  await page.goto(address(1, '#/appointments/de300000-000a-4000-8000-000000000001/move'));
  await failure(page).getByText('Запись на прием отменена').waitFor();
  await failure(page).getByRole('link', { name: 'К направлениям' }).waitFor();
  assert.equal(await hours(page).count(), 0);
});

test('Promise: the page shows the rest of a hold and its end, and the cell can still be booked then', async (t) => {
  const page = await openPage(t);
  await page.clock.install();
  await page.goto(cellsOf(8, 2));
  await choose(page, 16);
  await page.getByText('Время удерживается за вами до').waitFor();
  const timer = page.getByRole('timer');
  await timer.getByText(/Осталось [45]:\d\d/).waitFor();
  await page.clock.runFor(60_000);
  await timer.getByText(/Осталось [34]:\d\d/).waitFor();
  await page.clock.fastForward('05:01');
  await page.getByText('Удержание закончилось').waitFor();
  await page.getByRole('button', { name: 'Записаться' }).click();
  await page.clock.runFor(1000);
  await page.getByText('Вы записаны на приём.').waitFor();
});

test('Promise: of two patients one books a cell, and the other books one of the nearest with one click', async (t) => {
  const [winner, loser] = await Promise.all([openPage(t), openPage(t)]);
  await Promise.all([winner.goto(cellsOf(18, 2)), loser.goto(cellsOf(19, 2))]);
  await Promise.all([hours(winner).first().waitFor(), hours(loser).first().waitFor()]);
  const cell = await choose(winner, 12);
  await winner.getByText('Время удерживается за вами до').waitFor();
  assert.equal(await choose(loser, 12), cell);
  await failure(loser).getByText('Выбранная ячейка расписания уже занята.').waitFor();
  assert.equal(
    await loser.getByRole('button', { name: 'Записаться' }).count(),
    0,
    'a rejected cell cannot be confirmed',
  );
  await confirm(winner);
  await winner.getByText('Вы записаны на приём.').waitFor();

  const nearest = failure(loser).locator('.choices button').first();
  const time = /\d\d:\d\d/.exec(await nearest.innerText())[0];
  await nearest.click();
  await confirm(loser);
  await loser.getByText('Вы записаны на приём.').waitFor();
  await loser.getByRole('article', { name: 'Талон' }).getByText(`${time}–`).waitFor();
});

test('Promise: two tabs of a patient create one visit, and the second tab links to it', async (t) => {
  const [first, second] = await Promise.all([openPage(t), openPage(t)]);
  await Promise.all([first.goto(cellsOf(3, 2)), second.goto(cellsOf(3, 2))]);
  for (const page of [first, second]) {
    await choose(page, 20);
    await page.getByText('Время удерживается за вами до').waitFor();
  }
  await confirm(first);
  await first.getByText('Вы записаны на приём.').waitFor();
  await second.getByRole('button', { name: 'Записаться' }).click();
  await failure(second).getByText('У выбранного направления уже есть запись на прием').waitFor();
  await failure(second).getByRole('link', { name: 'Открыть запись' }).click();
  await second.getByRole('article', { name: 'Талон' }).waitFor();
  assert.equal(new URL(second.url()).hash, new URL(first.url()).hash.replace('?news=booked', ''));
});

test('Promise: a double click books once', async (t) => {
  const page = await openPage(t);
  const bookings = [];
  page.on(
    'request',
    (request) => request.method() === 'POST' && request.url().endsWith('/appointments') && bookings.push(request),
  );
  await page.goto(cellsOf(4, 2));
  await choose(page, 24);
  await page.getByText('Время удерживается за вами до').waitFor();
  await page.getByRole('button', { name: 'Записаться' }).dblclick();
  await page.getByText('Вы записаны на приём.').waitFor();
  assert.equal(bookings.length, 1);
});

test('Promise: after a lost response the page checks the result and finds the visit', async (t) => {
  const page = await openPage(t);
  await page.route('**/appointments', async (route) => {
    if (route.request().method() !== 'POST') return route.continue();
    await route.fetch(); // the service books, and then its response is lost
    await route.abort();
  });
  await page.goto(cellsOf(5, 2));
  await choose(page, 28);
  await confirm(page);
  await page.getByText('Вы записаны на приём.').waitFor();
  await page.getByRole('link', { name: 'Записи' }).click();
  await page.getByText('1 запись').waitFor();
});

test('Promise: the page shows that a lost request was not executed, and repeats it with its key', async (t) => {
  const page = await openPage(t);
  const keys = new Set();
  page.on('request', (request) => {
    if (request.method() === 'POST' && request.url().endsWith('/appointments'))
      keys.add(request.headers()['idempotency-key']);
  });
  await page.route('**/appointments', (route) =>
    route.request().method() === 'POST' ? route.abort() : route.continue(),
  );
  await page.goto(cellsOf(6, 2));
  await choose(page, 32);
  await confirm(page);
  await failure(page).getByText('Мы проверили: пока ничего не изменилось.').waitFor();
  await page.unroute('**/appointments');
  await failure(page).getByRole('button', { name: 'Повторить' }).click();
  await page.getByText('Вы записаны на приём.').waitFor();
  assert.equal(keys.size, 1);
});

test('Promise: the page shows that the network is unavailable, and a retry works later', async (t) => {
  const page = await openPage(t);
  await page.goto(address(7));
  await page.getByText(/^\d направлени/).waitFor();
  await page.route('**/appointments*', (route) => route.abort());
  await page.getByRole('link', { name: 'Записи' }).click();
  await failure(page).getByText('Сервис записи не отвечает.').waitFor();
  await page.unroute('**/appointments*');
  await failure(page).getByRole('button', { name: 'Повторить' }).click();
  await page.getByText('Записей нет.').waitFor();
});

test('Promise: with an expired token the patient must sign in again, unless the host renews the token', async (t) => {
  const expired = await talon.expiredTokenOf(person(8));
  const page = await openPage(t);
  await page.addInitScript((token) => {
    window.talonHost = { token: () => token, signIn: () => void (document.title = 'signing in') };
  }, expired);
  await page.goto(`${talon.baseUrl}/portal/`);
  await failure(page).getByText('Время действия токена истекло').waitFor();
  assert.match(await failure(page).innerText(), /Номер обращения: [0-9a-f-]{36}/);
  await failure(page).getByRole('button', { name: 'Войти снова' }).click();
  assert.equal(await page.title(), 'signing in');

  const renewing = await openPage(t);
  await renewing.addInitScript(
    ([old, fresh]) => {
      window.talonHost = { token: (refused) => (refused === undefined ? old : fresh), signIn() {} };
    },
    [expired, await talon.tokenOf(person(8))],
  );
  await renewing.goto(`${talon.baseUrl}/portal/`);
  await renewing.getByText(/^\d направлени/).waitFor();
  assert.equal(
    await renewing.getByRole('link', { name: 'Сменить' }).count(),
    0,
    'with a host no patient can be picked',
  );
});

test('Promise: without a token the patient must sign in', async (t) => {
  const page = await openPage(t);
  await page.addInitScript(() => {
    window.talonHost = { token: () => undefined, signIn() {} };
  });
  await page.goto(`${talon.baseUrl}/portal/#/appointments`);
  await failure(page).getByText("Запрос должен содержать 'Authorization: Bearer ...'").waitFor();
  await failure(page).getByRole('button', { name: 'Войти снова' }).waitFor();
});

/**
 * The demo patients whose bookings for referral 1 are always rejected (docs/demo.md), with the
 * button or text that they see.
 */
const refusedBookings = {
  11: 'регистратуру',
  12: 'регистратуру',
  13: 'регистратуру',
  14: 'регистратуру',
  15: 'регистратуру',
  16: 'регистратуру',
  21: 'регистратуру',
  22: 'Повторить',
  23: 'Повторить',
  24: 'регистратуру',
  25: 'Вот ближайшее свободное время.',
  26: 'Повторить',
  27: 'Повторить',
  28: 'Повторить',
};

test('Promise: a rejected booking shows the message of the service, the remedy and the request id', async (t) => {
  for (const [patient, remedy] of Object.entries(refusedBookings)) {
    await t.test(`patient ${patient}`, async (t) => {
      const page = await openPage(t);
      const responses = [];
      page.on(
        'response',
        (response) =>
          response.request().method() === 'POST' &&
          response.url().endsWith('/appointments') &&
          responses.push(response),
      );
      await page.goto(`${cellsOf(Number(patient), 1)}&lpu=${patient <= 24 ? lpu.Г : lpu.Б}`);
      await choose(page, Number(patient));
      await confirm(page);
      await failure(page).waitFor();
      const refusal = await responses.at(-1).json();
      const shown = await failure(page).innerText();
      assert.ok(shown.includes(refusal.message), `${refusal.message} is not in: ${shown}`);
      assert.ok(shown.includes(refusal.request_id));
      assert.ok(shown.includes(remedy), `${remedy} is not in: ${shown}`);
      await closeDialog(page);
    });
  }
});

test('Promise: a patient who loses each race is offered a cell each time', async (t) => {
  const page = await openPage(t);
  await page.goto(cellsOf(25, 2));
  await choose(page, 40);
  for (let round = 0; round < 2; round++) {
    await confirm(page);
    await failure(page).getByText('Это время уже занято.').waitFor();
    await failure(page).locator('.choices button').first().click();
  }
  await page.getByText('Время удерживается за вами до').waitFor();
  await closeDialog(page);
});

test('Promise: a patient with two holds can release one and then book', async (t) => {
  const page = await openPage(t);
  await page.goto(cellsOf(29, 2));
  await choose(page, 44);
  await failure(page).getByText('Одновременно можно удерживать не более двух ячеек').waitFor();
  await failure(page).getByRole('button', { name: 'Освободить' }).first().click();
  await confirm(page);
  await page.getByText('Вы записаны на приём.').waitFor();
});

test('Promise: a patient whose requests always fail sees the message and can retry', async (t) => {
  const messages = {
    30: 'Внутренняя ошибка сервера',
    31: 'Сервис временно недоступен.',
    32: 'Проверка токенов временно недоступна.',
    33: 'Сервис перегружен.',
    34: 'Сервис не готов принимать запросы',
  };
  const pages = await Promise.all(
    Object.entries(messages).map(async ([patient, message]) => {
      const page = await openPage(t);
      await page.goto(address(Number(patient)));
      await failure(page).getByText(message).waitFor();
      return page;
    }),
  );
  for (const page of pages) {
    const retry = failure(page).getByRole('button', { name: /^Повторить$/ }); // appears after the time in Retry-After
    await retry.waitFor();
    const [request] = await Promise.all([page.waitForRequest('**/directions*'), retry.click()]);
    assert.equal(request.method(), 'GET');
    await failure(page).waitFor();
  }
});

test('Promise: the page explains why nothing can be booked', async (t) => {
  const page = await openPage(t);
  await page.goto(cellsOf(1, 8));
  await page.getByText('Срок действия направления истек').waitFor();
  await page.goto(cellsOf(1, 6));
  await failure(page).getByText('ЛПУ в направлении и запросе не принадлежат одному юр лицу').waitFor();
  await page.goto(cellsOf(2, 1));
  await failure(page).getByText('У выбранного направления уже есть запись на прием').waitFor();
  await failure(page).getByRole('link', { name: 'Открыть запись' }).waitFor();
  await page.goto(address(37));
  await page.getByText('Направлений нет.').waitFor();
  await page.goto(address(1, '#/referrals/de300000-0007-4000-8000-009900000001'));
  await failure(page).getByText('Направление не найдено').waitFor();
  await page.goto(address(99));
  await page.getByText('Такого пациента в демонстрации нет.').waitFor();
});

/** Returns the free cells of a referral in the week from tomorrow. */
async function weekOf(patient, number) {
  const headers = { Authorization: `Bearer ${await talon.tokenOf(person(patient))}` };
  const cells = [];
  for (let cursor; cursor !== null;) {
    const query = new URLSearchParams({
      limit: 100,
      dateFrom: tomorrow,
      dateTo: dayAhead(7),
      ...(cursor && { cursor }),
    });
    const response = await fetch(`${talon.baseUrl}/directions/${direction(patient, number)}/slots?${query}`, {
      headers,
    });
    const { items, next } = await response.json();
    cells.push(...items);
    cursor = next;
  }
  return cells;
}

test('Promise: the strip shows the number of free cells of each day, and opens a day, also after a reload', async (t) => {
  const page = await openPage(t);
  await page.goto(cellsOf(17, 3));
  await listed(page);
  const cells = await weekOf(17, 3);
  const ofDay = (ahead) => cells.filter(({ start }) => start.startsWith(dayAhead(ahead)));
  const texts = await days(page).locator('.free').allInnerTexts();
  assert.deepEqual(
    texts.map((text) => Number(text.split(' ')[0])),
    [1, 2, 3, 4, 5, 6, 7].map((ahead) => ofDay(ahead).length),
  );
  await page.getByText(`Свободное время на этой неделе: ${cells.length} `).waitFor();
  const shown = () => hours(page).evaluateAll((buttons) => buttons.map(({ id }) => id).sort());
  const expected = (ahead) =>
    ofDay(ahead)
      .map(({ guid }) => `cell-${guid}`)
      .sort();
  assert.deepEqual(await shown(), expected(1), 'the first day with free cells');
  await showDay(page, 3);
  assert.deepEqual(await shown(), expected(4));
  await page.reload();
  await listed(page);
  assert.deepEqual(await shown(), expected(4));

  // The schedule of the demo has 14 days.
  await page.getByRole('button', { name: 'Позже' }).click();
  await days(page).first().and(page.locator('[aria-pressed="true"]')).waitFor();
  await days(page).last().locator('.free', { hasText: 'нет' }).waitFor();
  assert.equal(await days(page).last().isDisabled(), true);
  await page.getByRole('button', { name: 'Раньше' }).click();
  await days(page).first().getByText(tomorrow.slice(8).replace(/^0/, ''), { exact: true }).waitFor();
});

test('Promise: cells can be filtered by doctor and part of the day, also after a reload', async (t) => {
  const page = await openPage(t);
  await page.goto(cellsOf(17, 3));
  await listed(page);
  const ofTherapist = ({ resource }) => resource.name === 'Врач Терапевт Первый';
  const ofNeurologist = ({ resource }) => resource.name === 'Врач Невролог Первый';
  const hourOf = ({ start }) => Number(start.slice(11, 13));
  const cells = await weekOf(17, 3);
  const countIs = (expected) =>
    page.getByText(new RegExp(`на этой неделе: ${cells.filter(expected).length} `)).waitFor();

  await page.getByLabel('У кого').selectOption({ label: 'Врач Невролог Первый' });
  await countIs(ofNeurologist);
  assert.deepEqual(await page.locator('.doctor h3').count(), 1);
  await page.getByRole('radio', { name: 'Вечер' }).check();
  await countIs((cell) => ofNeurologist(cell) && hourOf(cell) >= 17);
  await page.reload();
  await countIs((cell) => ofNeurologist(cell) && hourOf(cell) >= 17);
  assert.equal(await page.getByRole('radio', { name: 'Вечер' }).isChecked(), true);
  await page.getByRole('radio', { name: 'День' }).check();
  await countIs((cell) => ofNeurologist(cell) && hourOf(cell) < 17);

  await page.getByRole('radio', { name: 'Вечер' }).check();
  await page.getByLabel('У кого').selectOption({ label: 'Врач Терапевт Первый' });
  await page.getByText('Под эти условия свободного времени нет.').waitFor();
  assert.deepEqual([...new Set(await days(page).locator('.free').allInnerTexts())], ['нет']);
  await page.getByRole('radio', { name: 'Утро' }).check();
  await countIs(ofTherapist);
  await page.getByRole('radio', { name: 'Вечер' }).check();
  await page.getByRole('link', { name: 'Показать любое время' }).click();
  await countIs(() => true);
});

test('Promise: a week without free cells leads to the first free one', async (t) => {
  const page = await openPage(t);
  await page.goto(address(25, `#/referrals/${direction(25, 2)}?from=${dayAhead(-7)}`));
  await page.getByText('Свободного времени нет.').waitFor();
  await page.getByRole('link', { name: 'Ближайшее свободное время' }).click();
  await hours(page).first().waitFor();
});

test('Promise: a referral to any institution offers all that can serve it, the first free one first', async (t) => {
  const page = await openPage(t);
  await page.goto(address(1, `#/referrals/${direction(1, 5)}`));
  const institutions = page.locator('.institutions a');
  await institutions.first().waitFor();
  const response = await fetch(`${talon.baseUrl}/directions/${direction(1, 5)}/institutions`, {
    headers: { Authorization: `Bearer ${talon.token}` },
  });
  const { items } = await response.json();
  const sorted = items.toSorted((a, b) => Date.parse(a.nextAvailable) - Date.parse(b.nextAvailable));
  assert.ok(sorted.length > 1);
  const texts = await institutions.allInnerTexts();
  assert.equal(texts.length, sorted.length);
  for (const [index, { lpu, nextAvailable }] of sorted.entries()) {
    for (const expected of [lpu.name, lpu.address, nextAvailable.slice(11, 16)]) {
      assert.ok(texts[index].includes(expected), `${expected} is not in: ${texts[index]}`);
    }
  }
  const { lpu } = sorted.at(-1);
  await institutions.last().click();
  await listed(page);
  const places = await page.locator('.doctor h3 small').allInnerTexts();
  assert.ok(
    places.every((place) => place.includes(`${lpu.name}, ${lpu.address}, кабинет `)),
    places.join(),
  );
  await page.getByRole('link', { name: 'Другая организация' }).click();
  await institutions.first().waitFor();
  assert.deepEqual(await institutions.allInnerTexts(), texts);

  // A referral to an institution is served by all of its legal entity.
  await page.goto(cellsOf(1, 1));
  await page.getByRole('link', { name: 'Выбрать одну' }).click();
  await institutions.filter({ hasText: 'Демонстрационная поликлиника А' }).click();
  await listed(page);
  assert.match((await page.locator('.doctor h3').allInnerTexts()).join(), /^Врач Терапевт Третий[^В]*$/);
});

test('Promise: times are in the zone of the institution, and the page shows if the device has another', async (t) => {
  const [here, away] = await Promise.all([openPage(t), openPage(t, { timezoneId: 'Asia/Vladivostok' })]);
  await Promise.all([here, away].map((page) => page.goto(cellsOf(20, 2))));
  await Promise.all([here, away].map((page) => hours(page).first().waitFor()));
  assert.deepEqual(await hours(away).allInnerTexts(), await hours(here).allInnerTexts());
  assert.equal(await here.locator('.zone').count(), 0);
  await away.getByText('Время местное: Москва (UTC+3). На вашем устройстве UTC+10.').waitFor();
  await choose(away, 50);
  await away.getByRole('dialog').getByText('Время: Москва (UTC+3). На вашем устройстве UTC+10').waitFor();
  const hold = away.getByText('Время удерживается за вами до');
  const [, hour, zone] = /до (\d\d:\d\d), (.+)\.$/.exec(await hold.innerText());
  assert.equal(zone, 'Москва (UTC+3)');
  const moscow = new Intl.DateTimeFormat('ru', { timeZone: 'Europe/Moscow', timeStyle: 'short' });
  const minutes = [4, 5].map((ahead) => moscow.format(Date.now() + ahead * 60_000));
  assert.ok(minutes.includes(hour), `${hour} is not one of ${minutes}`);
});

/** Returns the texts of the page in Cyrillic letters that are not marked as Russian. */
const cyrillicTexts = (page) =>
  page.evaluate(() => {
    const walker = document.createTreeWalker(document.getElementById('portal'), NodeFilter.SHOW_TEXT);
    const texts = [];
    while (walker.nextNode()) {
      const { parentElement, textContent } = walker.currentNode;
      if (/[а-яё]/i.test(textContent) && parentElement.closest('[lang]').lang !== 'ru') texts.push(textContent);
    }
    return texts;
  });

test('Promise: the page is in English for a browser without Russian, and the choice of a language is kept', async (t) => {
  const page = await openPage(t, { locale: 'en-US' });
  await page.goto(address(18));
  await page.getByRole('heading', { name: 'Referrals' }).waitFor();
  await page.locator('html[lang="en"]').waitFor();
  await page.getByRole('button', { name: 'Русский' }).click();
  await page.getByRole('heading', { name: 'Направления' }).waitFor();
  await page.locator('html[lang="ru"]').waitFor(); // it follows the texts
  await page.waitForFunction(() => document.title.startsWith('Направления'));
  await page.reload();
  await page.getByRole('heading', { name: 'Направления' }).waitFor();
  await page.getByRole('button', { name: 'English' }).click();
  await page.getByRole('heading', { name: 'Referrals' }).waitFor();
});

test('Promise: a patient can book, move and cancel in English; all other texts are marked as Russian', async (t) => {
  const page = await openPage(t, { locale: 'en-US' });
  const languages = new Set();
  page.on('request', (request) => {
    if (!/portal|sandbox/.test(request.url())) languages.add(request.headers()['accept-language']);
  });
  const inEnglish = async () => assert.deepEqual(await cyrillicTexts(page), []);
  await page.goto(`${talon.baseUrl}/portal/`);
  await page.getByText('Are refused').waitFor();
  for (const group of await page.locator('summary').all()) await group.click();
  await inEnglish();
  await page.goto(cellsOf(7, 2));
  await page.getByText('Free times this week').waitFor();
  await inEnglish();
  await hours(page).nth(1).click();
  await page.getByText('This time is held for you until').waitFor();
  await inEnglish();
  await page.getByRole('dialog', { name: 'Book this appointment?' }).getByRole('button', { name: 'Book' }).click();
  await shown(page, 'You are booked.');
  await inEnglish();
  await page.getByRole('link', { name: 'Move' }).click();
  await page.getByText('Free times this week').waitFor();
  await inEnglish();
  await days(page).nth(2).click();
  await hours(page).nth(1).click();
  await page.getByRole('dialog', { name: 'Move the appointment?' }).getByRole('button', { name: 'Move' }).click();
  await shown(page, 'The appointment is moved.');
  await page.goto(cellsOf(7, 2));
  await failure(page).getByRole('link', { name: 'Open the appointment' }).click();
  await page.getByRole('link', { name: 'Cancel' }).click();
  await page.getByLabel('Reason').waitFor();
  await inEnglish();
  await page.getByRole('button', { name: 'Cancel the appointment' }).click();
  await shown(page, 'The appointment is cancelled.');
  await page.getByRole('link', { name: 'Appointments' }).click();
  await page.getByText('1 appointment').waitFor();
  await inEnglish();
  const refused = page.waitForResponse((response) => response.status() === 500);
  await page.goto(address(30));
  const { title, message } = await (await refused).json();
  await failure(page).getByText(title).waitFor();
  await failure(page).getByText(message).waitFor();
  await inEnglish();
  assert.deepEqual([...languages], ['en']);
});

test('Promise: an unknown address shows a page that leads to the start', async (t) => {
  const page = await openPage(t);
  for (const [path, status] of [
    [address(1, '#/no/such/view').slice(talon.baseUrl.length), 200],
    ['/portal/no/such/file', 404],
  ]) {
    const response = await page.goto(`${talon.baseUrl}${path}`);
    assert.equal(response.status(), status);
    await page.getByRole('heading', { name: 'Такой страницы нет' }).waitFor();
    await page.getByRole('link', { name: 'На главную' }).click();
    await page.getByRole('heading', { name: /Направления|Кто записывается/ }).waitFor();
  }
});

test('Promise: the page can be used with the keyboard only', async (t) => {
  const page = await openPage(t);
  // After the last control the focus is on the body, whose text contains that of all controls.
  const focused = () => page.evaluate(() => document.querySelector(':focus')?.textContent.trim() ?? '');
  const has = async (target) =>
    typeof target === 'string'
      ? (await focused()).includes(target)
      : target.evaluate((element) => element === document.activeElement);
  const tabTo = async (target) => {
    for (let presses = 0; presses < 120; presses++) {
      await page.keyboard.press('Tab');
      if (await has(target)) return;
    }
    assert.fail(`Tab does not reach ${target}; the focus is on ${await focused()}`);
  };
  const onHeading = (name) =>
    page.waitForFunction(
      (name) => document.activeElement?.matches('h1, h2') && document.activeElement.textContent === name,
      name,
    );

  await page.goto(`${talon.baseUrl}/portal/`);
  await page.getByRole('link', { name: 'Орлов Алексей Петрович' }).waitFor();
  await page.keyboard.press('Tab');
  assert.equal(await focused(), 'К содержанию');
  await tabTo('Ещё могут записаться');
  await page.keyboard.press('Enter');
  await tabTo('Кузнецова Ольга Николаевна');
  await page.keyboard.press('Enter');
  await page.getByText('3 направления').waitFor();
  await tabTo('Выбрать время');
  await page.keyboard.press('Enter');
  await onHeading('Выберите время');
  await listed(page);
  await tabTo(days(page).nth(1)); // the cells of the first day can start at any moment
  await page.keyboard.press('Enter');
  await days(page).nth(1).and(page.locator('[aria-pressed=true]')).waitFor();
  await tabTo(hours(page).first());
  await page.keyboard.press('Enter');
  await onHeading('Записаться на приём?');
  await page.getByText('Время удерживается за вами до').waitFor();
  await tabTo('Записаться');
  await page.keyboard.press('Space');
  await onHeading('Талон на приём');
  await tabTo('Отменить');
  await page.keyboard.press('Enter');
  await onHeading('Отменить запись?');
  await page.getByLabel('Причина').waitFor();
  await tabTo('Отменить запись');
  await page.keyboard.press('Enter');
  await onHeading('Талон на приём');
  await page.getByText('Запись отменена.').waitFor();
});

/** Opens each view and waits for it. */
const views = {
  patients: async (page) => {
    await page.goto(`${talon.baseUrl}/portal/`);
    await page.getByRole('link', { name: 'Орлов Алексей Петрович' }).waitFor();
    for (const group of await page.locator('summary').all()) await group.click();
  },
  referrals: async (page) => {
    await page.goto(address(1));
    await page.getByText('направлений').waitFor();
  },
  cells: async (page) => {
    await page.goto(cellsOf(9, 3));
    await hours(page).first().waitFor();
  },
  dialog: async (page) => {
    await choose(page, 7);
    await page.getByText('Время удерживается за вами до').waitFor();
  },
  refusal: async (page) => {
    await page.goto(cellsOf(25, 1));
    await choose(page, 52);
    await confirm(page);
    await failure(page).waitFor();
  },
  emptyList: async (page) => {
    await page.goto(cellsOf(1, 8));
    await page.getByText('Срок действия направления истек').waitFor();
  },
  institutions: async (page) => {
    await page.goto(cellsOf(1, 5));
    await page.getByRole('link', { name: 'Демонстрационная поликлиника Б' }).waitFor();
  },
  notFound: async (page) => {
    await page.goto(address(1, '#/no/such/view'));
    await page.getByRole('heading', { name: 'Такой страницы нет' }).waitFor();
  },
  cancelledVisits: async (page) => {
    await page.goto(address(17, '#/appointments'));
    await page.getByText('Медицинская организация отменила эту запись').first().waitFor();
  },
  cancelledTicket: async (page) => {
    await page.goto(address(17, '#/appointments/de300000-000a-4000-8000-000000000008'));
    await page.getByText('Запишитесь заново по этому направлению.').waitFor();
  },
  appointments: async (page) => {
    await page.goto(address(2, '#/appointments'));
    await page.getByText('1 запись').waitFor();
  },
  ticket: async (page) => {
    await page.getByRole('link', { name: 'Открыть талон' }).click();
    await page.getByRole('article', { name: 'Талон' }).waitFor();
  },
  move: async (page) => {
    await page.getByRole('link', { name: 'Перенести' }).click();
    await hours(page).first().waitFor();
  },
  cancel: async (page) => {
    await page.goBack();
    await page.getByRole('link', { name: 'Отменить' }).click();
    await page.getByLabel('Причина').waitFor();
  },
};

test('Promise: axe finds no violation in any view, in light and dark mode', async (t) => {
  const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
  for (const colorScheme of ['light', 'dark']) {
    const page = await openPage(t, { colorScheme });
    for (const [view, show] of Object.entries(views)) {
      await show(page);
      await page.evaluate(axe);
      const { violations, passes } = await page.evaluate(() =>
        window.axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }),
      );
      assert.ok(passes.length > 10, 'axe has run');
      const found = violations.map(
        ({ id, impact, nodes }) => `${impact} ${id}: ${nodes.map(({ html }) => html).join(' | ')}`,
      );
      assert.deepEqual(found, [], `${view}, ${colorScheme}`);
    }
  }
});

test('Promise: no view scrolls horizontally on a phone', async (t) => {
  const page = await openPage(t, { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true });
  for (const [view, show] of Object.entries(views)) {
    await show(page);
    const { content, viewport } = await page.evaluate(() => ({
      content: document.documentElement.scrollWidth,
      viewport: innerWidth,
    }));
    assert.equal(viewport, 360, view);
    assert.ok(content <= 360, `${view} is ${content} px wide`);
    const dialog = page.locator('dialog');
    if (await dialog.count())
      assert.equal(
        await dialog.evaluate((element) => element.scrollWidth <= element.clientWidth),
        true,
        `the dialog of ${view}`,
      );
  }
});

test('Promise: the printed page contains the ticket and no controls', async (t) => {
  const page = await openPage(t);
  await page.goto(address(2, '#/appointments'));
  await page.getByRole('link', { name: 'Открыть талон' }).click();
  await page.getByRole('article', { name: 'Талон' }).waitFor();
  await page.emulateMedia({ media: 'print' });
  assert.equal(await page.getByRole('article', { name: 'Талон' }).isVisible(), true);
  assert.equal(await page.locator('a:not([href^="tel:"]):visible, button:visible').count(), 0);
  const pdf = await page.pdf({ format: 'A5' });
  assert.equal(pdf.toString('latin1').match(/\/Type\s*\/Page\b/g).length, 1, 'one page');
});

test('Promise: the page follows its Content-Security-Policy and sends requests only to this service', async (t) => {
  const page = await openPage(t);
  const origins = new Set();
  page.on('request', (request) => origins.add(new URL(request.url()).origin));
  const violations = [];
  await page.exposeFunction('violated', (directive) => violations.push(directive));
  await page.addInitScript(() =>
    addEventListener('securitypolicyviolation', (event) => window.violated(event.violatedDirective)),
  );
  for (const view of ['patients', 'cells', 'dialog', 'appointments', 'ticket']) await views[view](page);
  assert.deepEqual(violations, []);
  origins.delete('null'); // the blob of the calendar file
  assert.deepEqual([...origins], [talon.baseUrl]);
});

test('Promise: a reset restores the demo data', async (t) => {
  const page = await openPage(t);
  await book(page, 1, 4, 2);
  await page.goto(`${talon.baseUrl}/portal/`);
  await page.getByRole('button', { name: 'Вернуть данные к началу' }).click();
  await page.getByText('Данные снова как в первый день.').waitFor();
  await page.goto(address(1, '#/appointments'));
  await page
    .getByText(/записи?/)
    .first()
    .waitFor();
  assert.equal(await page.getByRole('article').filter({ hasText: 'Офтальмология' }).count(), 0);
});
