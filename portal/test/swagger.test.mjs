// Tests Swagger UI in a real browser, with the steps of a user who tries the contract.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { client, startTalon } from '../../sdk/typescript/test/service.mjs';
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

/** Returns the operations of the contract. */
async function operations() {
  const contract = await (await fetch(`${talon.baseUrl}/openapi.json`)).json();
  return Object.entries(contract.paths).flatMap(([path, item]) =>
    Object.entries(item).flatMap(([method, { operationId: id, responses }]) =>
      id ? [{ path, method, id, statuses: Object.keys(responses) }] : [],
    ),
  );
}

/** Returns whether a URL matches a path of the contract. */
const matches = (path, url) => new RegExp(`^${talon.baseUrl}${path.replace(/\{\w+\}/g, '[^/?]+')}(\\?|$)`).test(url);

/** Signs in on the page with the patient's token and the secret of the client application. */
async function authorize(page) {
  await page.getByRole('button', { name: 'Authorize' }).first().click();
  const forms = page.locator('.auth-container');
  await forms.filter({ hasText: 'bearer' }).getByRole('textbox').fill(talon.token);
  await forms.filter({ hasText: 'bearer' }).getByRole('button', { name: 'Apply' }).click();
  const secret = forms.filter({ hasText: 'basic' });
  await secret.getByLabel('Username').fill(client.guid);
  await secret.getByLabel('Password').fill(client.secret);
  await secret.getByRole('button', { name: 'Apply' }).click();
  await page.getByRole('button', { name: 'Close' }).first().click();
}

test('Promise: after authorisation each operation can be executed in Swagger UI with its example', async (t) => {
  const page = await browser.newPage({ viewport: { width: 1200, height: 900 } });
  page.setDefaultTimeout(60_000);
  await page.goto(`${talon.baseUrl}/docs/`);
  await page.locator('.opblock').first().waitFor();
  const all = await operations();
  assert.ok(all.length >= 16, `${all.length} operations`);
  await authorize(page);
  const statusOf = {};
  for (const { path, method, id, statuses } of all) {
    await t.test(`${method} ${path}`, async () => {
      const block = page.locator(`.opblock-${method}[id$="-${id}"]`);
      await block.locator('.opblock-summary-control').click();
      const [response] = await Promise.all([
        page.waitForResponse(
          (response) => response.request().method() === method.toUpperCase() && matches(path, response.url()),
        ),
        block.getByRole('button', { name: 'Execute' }).click(),
      ]);
      const status = block.locator('.live-responses-table .response-col_status').last();
      await status.filter({ hasText: String(response.status()) }).waitFor();
      assert.equal(await block.getByText('Failed to fetch').count(), 0);
      assert.ok(statuses.includes(String(response.status())), `${response.status()} is not among ${statuses}`);
      // The appointment of the example is already cancelled, so it cannot be moved.
      assert.ok(
        response.ok() || (id === 'moveAppointment' && (await response.json()).rule === 'appointment_cancelled'),
        await response.text(),
      );
      statusOf[id] = response.status();
      await block.locator('.opblock-summary-control').click();
    });
  }
  assert.equal(Object.keys(statusOf).length, all.length);
  t.diagnostic(JSON.stringify(statusOf));
});
