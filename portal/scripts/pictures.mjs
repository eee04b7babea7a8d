// Writes docs/pictures from a service with new demo data. The sizes of the pictures are fixed, and
// their days are relative to the current day.
import { statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { direction, lpu, person, startTalon } from '../../sdk/typescript/test/service.mjs';
import { startBrowser } from '../test/browser.mjs';

const folder = fileURLToPath(new URL('../../docs/pictures/', import.meta.url));
const desktop = { width: 1100, height: 760 };
const phone = { width: 360, height: 720 };

/** The maximum size of a picture in bytes. */
const maxBytes = 200_000;

const talon = await startTalon();
const browser = await startBrowser();
try {
  const page = await (
    await browser.newContext({ viewport: desktop, locale: 'ru-RU', timezoneId: 'Europe/Moscow' })
  ).newPage();
  await portal(page);
  await swagger(await browser.newPage({ viewport: { width: 1280, height: 1325 }, bypassCSP: true }));
} finally {
  await browser.close();
  await talon.stop();
}

async function picture(page, name) {
  const path = `${folder}${name}.png`;
  await page.mouse.move(0, 0);
  await page.screenshot({ path, animations: 'disabled', caret: 'hide' });
  const { size } = statSync(path);
  if (size > maxBytes) throw new Error(`${name}.png has ${size} bytes, more than ${maxBytes}`);
  console.log(`${name}.png\t${size} bytes`);
}

async function portal(page) {
  const open = (patient, hash) => page.goto(`${talon.baseUrl}/portal/?patient=${person(patient)}${hash}`);
  const hours = page.locator('.hours button');

  await open(1, '#/referrals');
  await page.getByText('направлений').waitFor();
  await picture(page, 'portal-referrals');

  const tomorrow = new Date(Date.now() + 86_400_000).toISOString().slice(0, 10);
  await open(5, `#/referrals/${direction(5, 1)}?lpu=${lpu.Б}&from=${tomorrow}`);
  await hours.first().waitFor();
  await picture(page, 'portal-cells');

  await open(25, `#/referrals/${direction(25, 2)}?from=${tomorrow}`);
  await hours.nth(2).click();
  await page.getByText('Время удерживается за вами до').waitFor();
  await page.getByRole('button', { name: 'Записаться' }).click();
  await page.locator('.failure').waitFor();
  await picture(page, 'portal-refusal');

  await open(1, `#/referrals/${direction(1, 2)}?from=${tomorrow}`);
  await hours.nth(3).click();
  await page.getByText('Время удерживается за вами до').waitFor();
  await page.getByRole('button', { name: 'Записаться' }).click();
  await page.getByRole('article', { name: 'Талон' }).waitFor();
  await page.setViewportSize({ ...desktop, height: 600 });
  await picture(page, 'portal-ticket');

  await page.setViewportSize(phone);
  await picture(page, 'portal-phone');
}

/** Executes the first example of a booking in Swagger UI. */
async function swagger(page) {
  await page.goto(`${talon.baseUrl}/docs/`);
  await page.locator('.opblock').first().waitFor();
  await page.getByRole('button', { name: 'Authorize' }).first().click();
  const bearer = page.locator('.auth-container').filter({ hasText: 'bearer' });
  await bearer.getByRole('textbox').fill(talon.token);
  await bearer.getByRole('button', { name: 'Apply' }).click();
  await page.getByRole('button', { name: 'Close' }).first().click();
  const booking = page.locator('.opblock-post[id$="-createAppointment"]');
  await booking.locator('.opblock-summary-control').click();
  await booking.getByRole('button', { name: 'Execute' }).click();
  await booking.locator('.live-responses-table .response-col_status').filter({ hasText: '200' }).waitFor();
  // Hide the long parts: the description, and what is below the body of the response.
  const hidden = [
    '.information-container',
    '.opblock-body > .opblock-description-wrapper',
    '.parameters-container',
    '.curl-command',
    '.request-url',
  ];
  await page.addStyleTag({ content: `${hidden.join(', ')} { display: none }` });
  await booking.evaluate((element) => element.scrollIntoView());
  await picture(page, 'swagger-ui');
}
