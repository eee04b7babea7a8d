// Swagger UI in a real browser, as somebody uses it who tries the contract.
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

/** The operations of the contract: those that its documentation must let one try. */
async function operations() {
  const contract = await (await fetch(`${talon.baseUrl}/openapi.json`)).json();
  return Object.entries(contract.paths).flatMap(([path, item]) =>
    Object.entries(item).flatMap(([method, { operationId: id, responses }]) =>
      id ? [{ path, method, id, statuses: Object.keys(responses) }] : [],
    ),
  );
}

/** Whether an address is of a path of the contract. */
const isOf = (path, url) => new RegExp(`^${talon.baseUrl}${path.replace(/\{\w+\}/g, '[^/?]+')}(\\?|$)`).test(url);

/** Signs in as the page asks: the patient by the token, the client application by its secret. */
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

test('Promise: whoever authorises in Swagger UI can try each operation as it is shown, and is answered by the service', async (t) => {
  const page = await browser.newPage({ viewport: { width: 1200, height: 900 } });
  page.setDefaultTimeout(20_000);
  await page.goto(`${talon.baseUrl}/docs/`);
  await page.locator('.opblock').first().waitFor();
  const all = await operations();
  assert.ok(all.length >= 16, `${all.length} operations`);
  await authorize(page);
  const answered = {};
  for (const { path, method, id, statuses } of all) {
    await t.test(`${method} ${path}`, async () => {
      const block = page.locator(`.opblock-${method}[id$="-${id}"]`);
      await block.locator('.opblock-summary-control').click();
      const [response] = await Promise.all([
        page.waitForResponse(
          (response) => response.request().method() === method.toUpperCase() && isOf(path, response.url()),
        ),
        block.getByRole('button', { name: 'Execute' }).click(),
      ]);
      const status = block.locator('.live-responses-table .response-col_status').last();
      await status.filter({ hasText: String(response.status()) }).waitFor();
      assert.equal(await block.getByText('Failed to fetch').count(), 0);
      assert.ok(statuses.includes(String(response.status())), `${response.status()} is not among ${statuses}`);
      // The appointment that the page shows is cancelled already, and so cannot be moved.
      assert.ok(
        response.ok() || (id === 'moveAppointment' && (await response.json()).rule === 'appointment_cancelled'),
        await response.text(),
      );
      answered[id] = response.status();
      await block.locator('.opblock-summary-control').click();
    });
  }
  assert.equal(Object.keys(answered).length, all.length);
  t.diagnostic(JSON.stringify(answered));
});
