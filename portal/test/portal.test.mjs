// The page in a real browser, against the real service.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { dayAhead, direction, lpu, person, startTalon } from '../../sdk/typescript/test/service.mjs';
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

/** A page of its own, which fails its test where something goes wrong in it unseen. */
async function openPage(t, options = {}) {
  const context = await browser.newContext({
    locale: 'ru-RU',
    timezoneId: 'Europe/Moscow',
    viewport: { width: 1100, height: 800 },
    ...options,
  });
  context.setDefaultTimeout(20_000);
  const page = await context.newPage();
  const wrong = [];
  page.on('pageerror', (error) => wrong.push(error));
  page.on('console', (message) => {
    const ofRefusals = message.type() === 'error' && /^Failed to load resource/.test(message.text()); // the browser says so of each answer from 400 on
    if (message.type() === 'error' && !ofRefusals) wrong.push(message.text());
  });
  t.after(async () => {
    await context.close();
    assert.deepEqual(wrong, [], 'nothing goes wrong unseen');
  });
  return page;
}

const address = (patient, hash = '#/referrals') => `${talon.baseUrl}/portal/?patient=${person(patient)}${hash}`;

/** The first day whose cells a test takes: those of today may begin between a list and a booking. */
const tomorrow = dayAhead(1);
const cellsOf = (patient, number) => address(patient, `#/referrals/${direction(patient, number)}?from=${tomorrow}`);
const hours = (page) => page.locator('.hours button');
const failure = (page) => page.locator('.failure');

/** Takes a cell of the list, by its place in it. */
async function choose(page, place) {
  const cell = hours(page).nth(place);
  const name = await cell.innerText();
  await cell.click();
  return name;
}

/** Shows the cells from a day on, and waits until they are there. */
async function showFrom(page, day) {
  const listed = page.waitForResponse((response) => response.url().includes(`dateFrom=${day}`));
  await page.getByLabel('Начиная с').fill(day);
  await page.waitForURL(new RegExp(`from=${day}`));
  await listed;
  // The day may have been in the list before, too: only that it comes first shows that the new list is there.
  await page.waitForFunction(
    (first) => document.querySelector('.day')?.getAttribute('aria-labelledby') === first,
    `day-${day}`,
  );
}

/** Books the cell that the dialog is about. */
async function confirm(page) {
  await page.getByText('Время удерживается за вами до').waitFor();
  await page.getByRole('button', { name: 'Записаться' }).click();
}

/** Waits until something is so. */
async function eventually(isSo) {
  const deadline = AbortSignal.timeout(20_000);
  while (!(await isSo())) {
    deadline.throwIfAborted();
    await setImmediate();
  }
}

/** Closes the dialog; its hold is given back. */
async function leave(page) {
  const released = page.waitForResponse(
    (response) => response.request().method() === 'DELETE' && response.url().includes('/hold'),
  );
  await page.keyboard.press('Escape');
  assert.equal((await released).status(), 200);
  await page.getByRole('dialog').waitFor({ state: 'detached' });
}

async function book(page, patient, number, place) {
  await page.goto(cellsOf(patient, number));
  await choose(page, place);
  await confirm(page);
  await page.getByText('Вы записаны на приём.').waitFor();
}

test('Promise: the whole way: pick a patient, book, keep the ticket, move, cancel', async (t) => {
  const page = await openPage(t);
  await page.goto(`${talon.baseUrl}/portal/`);
  await page.getByRole('link', { name: 'Взрослый Первый' }).click();
  const referral = page.getByRole('article', { name: 'Консультация: Неврология' }).filter({ hasText: '00000001002' });
  await referral.getByText('Не записан').waitFor();
  await referral.getByRole('link', { name: 'Выбрать время' }).click();

  await page.getByText('Направление № 00000001002').waitFor();
  await showFrom(page, tomorrow);
  const hour = (await choose(page, 3)).slice(0, 5);
  await page.getByRole('dialog', { name: 'Записаться на приём?' }).waitFor();
  await confirm(page);
  await page.getByText('Вы записаны на приём.').waitFor();
  const ticket = page.getByRole('article', { name: 'Талон' });
  const words = await ticket.innerText();
  const who = ['Пациент Взрослый Первый', 'Демонстрационная поликлиника', 'Врач Невролог'];
  for (const told of [...who, '00000001002', 'Консультация: Неврология', 'Записан', `${hour}–`, 'Москва (UTC+3)']) {
    assert.ok(words.includes(told), `${told} is not in: ${words}`);
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
  await showFrom(page, tomorrow);
  const later = (await choose(page, 5)).slice(0, 5);
  await page.getByText('Время удерживается за вами до').waitFor();
  await page.getByRole('dialog', { name: 'Перенести запись?' }).getByRole('button', { name: 'Перенести' }).click();
  await page.getByText('Запись перенесена.').waitFor();
  await ticket.getByText(`${later}–`).waitFor();
  assert.equal(await ticket.locator('figcaption').innerText(), guid, 'it is the same visit');

  await page.getByRole('link', { name: 'Отменить' }).click();
  await page.getByLabel('Причина').fill('Уезжаю; вернусь, "позже"');
  await page.getByRole('button', { name: 'Отменить запись' }).click();
  await page.getByText('Запись отменена.').waitFor();
  await ticket.getByText('Уезжаю; вернусь, "позже"').waitFor();

  await page.getByRole('link', { name: 'Записи' }).click();
  await page.getByRole('article').filter({ hasText: 'Неврология' }).getByText('Отменена').waitFor();
  await page.getByRole('link', { name: 'Направления' }).click();
  await referral.getByText('Не записан').waitFor();
  await page.goBack();
  await page.getByRole('heading', { level: 1, name: 'Записи на приём' }).waitFor();
});

test('Promise: a cell is held while the patient thinks, and given back', async (t) => {
  const page = await openPage(t);
  await page.goto(cellsOf(18, 2));
  await choose(page, 8);
  await page.getByText('Время удерживается за вами до').waitFor();
  await leave(page);
  assert.equal(
    await hours(page)
      .nth(8)
      .evaluate((cell) => cell === document.activeElement),
    true,
    'the focus is where it was',
  );

  const token = await talon.tokenOf(person(19));
  const isFree = async (cell) => {
    const answer = await fetch(`${talon.baseUrl}/directions/${direction(19, 2)}/slots?limit=100&dateFrom=${tomorrow}`, {
      headers: { Authorization: `Bearer ${token}` },
    });
    return (await answer.json()).items.some(({ guid }) => `cell-${guid}` === cell);
  };
  const cell = await hours(page).nth(9).getAttribute('id');
  await choose(page, 9);
  await page.getByText('Время удерживается за вами до').waitFor();
  assert.equal(await isFree(cell), false);
  await page.goto(`${talon.baseUrl}/docs/`); // the page is left as it is
  await eventually(() => isFree(cell));
});

test('Promise: a visit can be moved to what the service says, which is held meanwhile; where it stands is not offered', async (t) => {
  const page = await openPage(t);
  await book(page, 17, 2, 4);
  const released = [];
  page.on('request', (request) => request.method() === 'DELETE' && released.push(request.url()));
  await page.getByRole('link', { name: 'Перенести' }).click();
  await showFrom(page, tomorrow);
  const bearer = { Authorization: `Bearer ${await talon.tokenOf(person(17))}` };
  const guid = new URL(page.url()).hash.split('/')[2];
  const slots = `${talon.baseUrl}/directions/${direction(17, 2)}/slots`;
  const { items } = await (
    await fetch(`${slots}?limit=60&dateFrom=${tomorrow}&appointmentGuid=${guid}`, { headers: bearer })
  ).json();
  assert.deepEqual(
    await hours(page).evaluateAll((cells) => cells.map(({ id }) => id)),
    items.map((cell) => `cell-${cell.guid}`),
  );
  const { start, resource } = await (await fetch(`${talon.baseUrl}/appointments/${guid}`, { headers: bearer })).json();
  assert.ok(!items.some((cell) => cell.start === start && cell.resource.guid === resource.guid));

  const isFree = async (cell) => {
    const other = { Authorization: `Bearer ${await talon.tokenOf(person(19))}` };
    const answer = await fetch(`${slots.replace(direction(17, 2), direction(19, 2))}?limit=100&dateFrom=${tomorrow}`, {
      headers: other,
    });
    return (await answer.json()).items.some(({ guid }) => guid === cell);
  };
  assert.equal(await isFree(items[6].guid), true);
  await choose(page, 6);
  await page.getByText('Время удерживается за вами до').waitFor();
  assert.equal(await isFree(items[6].guid), false);
  await leave(page);
  assert.equal(await isFree(items[6].guid), true);

  await choose(page, 6);
  await page.getByText('Время удерживается за вами до').waitFor();
  await page.getByRole('dialog').getByRole('button', { name: 'Перенести' }).click();
  await page.getByText('Запись перенесена.').waitFor();
  assert.equal(released.length, 1, 'the move has used the other hold up');
});

test('Promise: a visit that can no longer be moved is said to be so, and nothing is offered', async (t) => {
  const page = await openPage(t);
  await page.goto(address(1, '#/appointments/de300000-000a-4000-8000-000000000001/move'));
  await failure(page).getByText('Запись на прием отменена').waitFor();
  await failure(page).getByRole('link', { name: 'К направлениям' }).waitFor();
  assert.equal(await hours(page).count(), 0);
});

test('Promise: a hold that has ended is said to have ended, and the cell can be booked all the same', async (t) => {
  const page = await openPage(t);
  await page.clock.install();
  await page.goto(cellsOf(8, 2));
  await choose(page, 16);
  await page.getByText('Время удерживается за вами до').waitFor();
  await page.clock.fastForward('05:01');
  await page.getByText('Удержание закончилось').waitFor();
  await page.getByRole('button', { name: 'Записаться' }).click();
  await page.clock.runFor(1000);
  await page.getByText('Вы записаны на приём.').waitFor();
});

test('Promise: of two who want one cell one gets it, and the other one of the nearest by one click', async (t) => {
  const [winner, loser] = await Promise.all([openPage(t), openPage(t)]);
  await Promise.all([winner.goto(cellsOf(18, 2)), loser.goto(cellsOf(19, 2))]);
  await Promise.all([hours(winner).first().waitFor(), hours(loser).first().waitFor()]);
  const wanted = await choose(winner, 12);
  await winner.getByText('Время удерживается за вами до').waitFor();
  assert.equal(await choose(loser, 12), wanted);
  await failure(loser).getByText('Выбранная ячейка расписания уже занята.').waitFor();
  assert.equal(
    await loser.getByRole('button', { name: 'Записаться' }).count(),
    0,
    'what is refused cannot be confirmed',
  );
  await confirm(winner);
  await winner.getByText('Вы записаны на приём.').waitFor();

  const nearest = failure(loser).locator('.choices button').first();
  const taken = /\d\d:\d\d/.exec(await nearest.innerText())[0];
  await nearest.click();
  await confirm(loser);
  await loser.getByText('Вы записаны на приём.').waitFor();
  await loser.getByRole('article', { name: 'Талон' }).getByText(`${taken}–`).waitFor();
});

test('Promise: two tabs of one patient make one visit, and the other tab leads to it', async (t) => {
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

test('Promise: an answer that was lost is looked for, and the visit found', async (t) => {
  const page = await openPage(t);
  await page.route('**/appointments', async (route) => {
    if (route.request().method() === 'POST')
      await route.fetch(); // it is booked, but nobody is told
    else return route.continue();
    await route.abort();
  });
  await page.goto(cellsOf(5, 2));
  await choose(page, 28);
  await confirm(page);
  await page.getByText('Вы записаны на приём.').waitFor();
  await page.getByRole('link', { name: 'Записи' }).click();
  await page.getByText('1 запись').waitFor();
});

test('Promise: what did not arrive is said not to have happened, and repeated with its key', async (t) => {
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

test('Promise: without a network the page says so, and goes on when it is back', async (t) => {
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

test('Promise: with an expired token the patient is asked to sign in again; a page that can renews it unseen', async (t) => {
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
    'where the host says who the patient is nobody is picked',
  );
});

test('Promise: without a token the patient is asked to sign in', async (t) => {
  const page = await openPage(t);
  await page.addInitScript(() => {
    window.talonHost = { token: () => undefined, signIn() {} };
  });
  await page.goto(`${talon.baseUrl}/portal/#/appointments`);
  await failure(page).getByText("Запрос должен содержать 'Authorization: Bearer ...'").waitFor();
  await failure(page).getByRole('button', { name: 'Войти снова' }).waitFor();
});

/** The patients of the demo whose booking of referral 1 is always refused (docs/demo.md), and the button or words that they are shown. */
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

test('Promise: a booking that is refused is told in the words of the service, with its way out and its number', async (t) => {
  for (const [patient, way] of Object.entries(refusedBookings)) {
    await t.test(`patient ${patient}`, async (t) => {
      const page = await openPage(t);
      const answers = [];
      page.on(
        'response',
        (response) =>
          response.request().method() === 'POST' && response.url().endsWith('/appointments') && answers.push(response),
      );
      await page.goto(`${cellsOf(Number(patient), 1)}&lpu=${patient <= 24 ? lpu.Г : lpu.Б}`);
      await choose(page, Number(patient));
      await confirm(page);
      await failure(page).waitFor();
      const refusal = await answers.at(-1).json();
      const told = await failure(page).innerText();
      assert.ok(told.includes(refusal.message), `${refusal.message} is not in: ${told}`);
      assert.ok(told.includes(refusal.request_id));
      assert.ok(told.includes(way), `${way} is not in: ${told}`);
      await leave(page);
    });
  }
});

test('Promise: who always loses is offered a cell each time', async (t) => {
  const page = await openPage(t);
  await page.goto(cellsOf(25, 2));
  await choose(page, 40);
  for (let round = 0; round < 2; round++) {
    await confirm(page);
    await failure(page).getByText('Это время уже занято.').waitFor();
    await failure(page).locator('.choices button').first().click();
  }
  await page.getByText('Время удерживается за вами до').waitFor();
  await leave(page);
});

test('Promise: who holds two cells can free one, and then book', async (t) => {
  const page = await openPage(t);
  await page.goto(cellsOf(29, 2));
  await choose(page, 44);
  await failure(page).getByText('Одновременно можно удерживать не более двух ячеек').waitFor();
  await failure(page).getByRole('button', { name: 'Освободить' }).first().click();
  await confirm(page);
  await page.getByText('Вы записаны на приём.').waitFor();
});

test('Promise: who is answered nothing else is told so, and can repeat', async (t) => {
  const words = {
    30: 'Внутренняя ошибка сервера',
    31: 'Сервис временно недоступен.',
    32: 'Проверка токенов временно недоступна.',
    33: 'Сервис перегружен.',
    34: 'Сервис не готов принимать запросы',
  };
  const pages = await Promise.all(
    Object.entries(words).map(async ([patient, message]) => {
      const page = await openPage(t);
      await page.goto(address(Number(patient)));
      await failure(page).getByText(message).waitFor();
      return page;
    }),
  );
  for (const page of pages) {
    const again = failure(page).getByRole('button', { name: /^Повторить$/ }); // when Retry-After has passed
    await again.waitFor();
    const [request] = await Promise.all([page.waitForRequest('**/directions*'), again.click()]);
    assert.equal(request.method(), 'GET');
    await failure(page).waitFor();
  }
});

test('Promise: where nothing can be booked the page says why', async (t) => {
  const page = await openPage(t);
  await page.goto(cellsOf(1, 8));
  await page.getByText('Срок действия направления истек').waitFor();
  await page.goto(cellsOf(1, 6));
  await failure(page).getByText('ЛПУ в направлении и запросе не принадлежат одному юр лицу').waitFor();
  await page.goto(cellsOf(2, 1));
  await failure(page).getByText('У выбранного направления уже есть запись на прием').waitFor();
  await failure(page).getByRole('link', { name: 'Открыть запись' }).waitFor();
  await page.goto(cellsOf(1, 5));
  await page.getByRole('link', { name: 'Демонстрационная поликлиника Б' }).click();
  await hours(page).first().waitFor();
  await page.goto(address(37));
  await page.getByText('Направлений нет.').waitFor();
  await page.goto(address(1, '#/referrals/de300000-0007-4000-8000-009900000001'));
  await failure(page).getByText('Направление не найдено').waitFor();
  await page.goto(address(99));
  await page.getByText('Такого пациента в демонстрации нет.').waitFor();
});

test('Promise: cells are found by doctor, institution and day, page by page, also when the page is loaded anew', async (t) => {
  const page = await openPage(t);
  await page.goto(cellsOf(17, 3));
  await page.getByText('60 вариантов, есть ещё').waitFor();
  await page.getByRole('button', { name: 'Показать ещё' }).click();
  await page.getByText('120 вариантов').waitFor();
  await page.getByLabel('У кого').selectOption({ label: 'Врач Невролог Первый' });
  await page.waitForURL(/resource=/);
  await page.waitForFunction(() =>
    [...document.querySelectorAll('.doctor h3')].every((name) => name.textContent.startsWith('Врач Невролог Первый')),
  );
  await page.reload();
  await hours(page).first().waitFor();
  const doctors = new Set(await page.locator('.doctor h3').allInnerTexts());
  assert.equal(doctors.size, 1, [...doctors].join());
  await showFrom(page, dayAhead(3));
});

test("Promise: times are the institution's, and the page says so where the device shows others", async (t) => {
  const [here, away] = await Promise.all([openPage(t), openPage(t, { timezoneId: 'Asia/Vladivostok' })]);
  await Promise.all([here, away].map((page) => page.goto(cellsOf(20, 2))));
  await Promise.all([here, away].map((page) => hours(page).first().waitFor()));
  assert.deepEqual(await hours(away).allInnerTexts(), await hours(here).allInnerTexts());
  assert.equal(await here.locator('.zone').count(), 0);
  await away.getByText('Время местное: Москва (UTC+3). На вашем устройстве UTC+10.').waitFor();
  await choose(away, 50);
  await away.getByRole('dialog').getByText('Время: Москва (UTC+3). На вашем устройстве UTC+10').waitFor();
});

test('Promise: the keyboard is enough', async (t) => {
  const page = await openPage(t);
  const focused = () => page.evaluate(() => document.activeElement?.textContent?.trim() ?? '');
  const has = async (wanted) =>
    typeof wanted === 'string'
      ? (await focused()).includes(wanted)
      : wanted.evaluate((element) => element === document.activeElement);
  const tabTo = async (wanted) => {
    for (let presses = 0; presses < 120; presses++) {
      await page.keyboard.press('Tab');
      if (await has(wanted)) return;
    }
    assert.fail(`no way to ${wanted} with Tab; the focus is on ${await focused()}`);
  };
  const onHeading = (name) =>
    page.waitForFunction(
      (name) => document.activeElement?.matches('h1, h2') && document.activeElement.textContent === name,
      name,
    );

  await page.goto(`${talon.baseUrl}/portal/`);
  await page.getByRole('link', { name: 'Взрослый Третий' }).waitFor();
  await page.keyboard.press('Tab');
  assert.equal(await focused(), 'К содержанию');
  await tabTo('Взрослый Третий');
  await page.keyboard.press('Enter');
  await page.getByText('3 направления').waitFor();
  await tabTo('Выбрать время');
  await page.keyboard.press('Enter');
  await onHeading('Выберите время');
  await hours(page).first().waitFor();
  await tabTo(hours(page).last()); // the first ones may begin at any moment
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

/** Every view, with what says that it is there. */
const views = {
  patients: async (page) => {
    await page.goto(`${talon.baseUrl}/portal/`);
    await page.getByRole('link', { name: 'Взрослый Первый' }).waitFor();
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
  why: async (page) => {
    await page.goto(cellsOf(1, 8));
    await page.getByText('Срок действия направления истек').waitFor();
  },
  institutions: async (page) => {
    await page.goto(cellsOf(1, 5));
    await page.getByRole('link', { name: 'Демонстрационная поликлиника Б' }).waitFor();
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

test('Promise: axe finds nothing in any view, by day and by night', async (t) => {
  const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
  for (const colorScheme of ['light', 'dark']) {
    const page = await openPage(t, { colorScheme });
    for (const [view, show] of Object.entries(views)) {
      await show(page);
      await page.evaluate(axe);
      const { violations, passes } = await page.evaluate(() =>
        window.axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }),
      );
      assert.ok(passes.length > 10, 'axe has looked');
      const found = violations.map(
        ({ id, impact, nodes }) => `${impact} ${id}: ${nodes.map(({ html }) => html).join(' | ')}`,
      );
      assert.deepEqual(found, [], `${view}, ${colorScheme}`);
    }
  }
});

test('Promise: on a phone nothing has to be scrolled sideways', async (t) => {
  const page = await openPage(t, { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true });
  for (const [view, show] of Object.entries(views)) {
    await show(page);
    const { wide, shown } = await page.evaluate(() => ({
      wide: document.documentElement.scrollWidth,
      shown: innerWidth,
    }));
    assert.equal(shown, 360, view);
    assert.ok(wide <= 360, `${view} is ${wide} wide`);
    const dialog = page.locator('dialog');
    if (await dialog.count())
      assert.equal(
        await dialog.evaluate((element) => element.scrollWidth <= element.clientWidth),
        true,
        `the dialog of ${view}`,
      );
  }
});

test('Promise: on paper there is the ticket, and nothing to press', async (t) => {
  const page = await openPage(t);
  await page.goto(address(2, '#/appointments'));
  await page.getByRole('link', { name: 'Открыть талон' }).click();
  await page.getByRole('article', { name: 'Талон' }).waitFor();
  await page.emulateMedia({ media: 'print' });
  assert.equal(await page.getByRole('article', { name: 'Талон' }).isVisible(), true);
  assert.equal(await page.locator('a:visible, button:visible').count(), 0);
  const pdf = await page.pdf({ format: 'A5' });
  assert.equal(pdf.toString('latin1').match(/\/Type\s*\/Page\b/g).length, 1, 'one sheet');
});

test('Promise: the page runs under its own policy, and asks nobody but this service', async (t) => {
  const page = await openPage(t);
  const asked = new Set();
  page.on('request', (request) => asked.add(new URL(request.url()).origin));
  const violations = [];
  await page.exposeFunction('violated', (directive) => violations.push(directive));
  await page.addInitScript(() =>
    addEventListener('securitypolicyviolation', (event) => window.violated(event.violatedDirective)),
  );
  for (const view of ['patients', 'cells', 'dialog', 'appointments', 'ticket']) await views[view](page);
  assert.deepEqual(violations, []);
  asked.delete('null'); // blob: the calendar file
  assert.deepEqual([...asked], [talon.baseUrl]);
});

test('Promise: a reset puts the demo data back', async (t) => {
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
