// Tests the documentation in a real browser: Swagger UI with the steps of a user who tries the
// contract, and Redoc with those of one who reads it.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { client, person, regionClient, startTalon } from '../../sdk/typescript/test/service.mjs';
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

/**
 * Opens a page. At the end the page must have loaded nothing from elsewhere, and the browser must
 * have reported no error and no violation of the page's Content-Security-Policy.
 */
async function openPage(t, path) {
  const context = await browser.newContext({ viewport: { width: 1200, height: 900 } });
  context.setDefaultTimeout(60_000);
  const page = await context.newPage();
  const problems = [];
  await page.exposeFunction('violated', (violation) => problems.push(violation));
  await page.addInitScript(() =>
    addEventListener('securitypolicyviolation', (event) =>
      window.violated(`${event.effectiveDirective} blocked ${event.blockedURI} in ${event.sourceFile}`),
    ),
  );
  page.on('pageerror', (error) => problems.push(error.stack));
  page.on('console', (message) => {
    // The browser logs each response with a status of 400 and above.
    const isRefusal = /^Failed to load resource/.test(message.text());
    if (message.type() === 'error' && !isRefusal) problems.push(message.text());
  });
  page.on('request', (request) => {
    const url = request.url();
    if (!url.startsWith(`${talon.baseUrl}/`) && !/^(blob|data):/.test(url)) problems.push(`loaded ${url}`);
  });
  t.after(async () => {
    await context.close();
    assert.deepEqual(problems, []);
  });
  await page.goto(talon.baseUrl + path);
  return page;
}

/** Returns the operations of the contract. */
async function operations() {
  const contract = await (await fetch(`${talon.baseUrl}/openapi.json`)).json();
  return Object.entries(contract.paths).flatMap(([path, item]) =>
    Object.entries(item).flatMap(([method, { operationId: id, responses, security = [] }]) =>
      id ? [{ path, method, id, security, statuses: Object.keys(responses) }] : [],
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

/** Lets Swagger UI get a token with all scopes for the region's system (client credentials). */
async function authorizeSystem(page) {
  await page.getByRole('button', { name: 'Authorize' }).first().click();
  const form = page.locator('.auth-container').filter({ hasText: 'clientCredentials' });
  await form.getByLabel('client_id').fill(regionClient.guid);
  await form.getByLabel('client_secret').fill(regionClient.secret);
  await form.getByText('select all').click();
  await form.getByRole('button', { name: 'Apply' }).click();
  await form.getByRole('button', { name: 'Remove authorization' }).waitFor();
  await page.getByRole('button', { name: 'Close' }).first().click();
}

/**
 * Executes operations with their examples, each in a test of its own. Each response must be
 * documented and shown. It must be successful, unless `refusals` names a rule by the operation's id.
 * `fills` complete the form, `prepare` is called before each operation, and `check` gets the response.
 */
async function tryOut(t, page, operations, { refusals = {}, fills = {}, prepare, check }) {
  const statusOf = {};
  for (const [index, { path, method, id, statuses }] of operations.entries()) {
    await t.test(`${method} ${path}`, async () => {
      // Each operation that Swagger UI has executed makes it slower. The sandbox keeps the tokens.
      if (index % 8 === 7) await page.reload();
      await prepare?.();
      const block = page.locator(`.opblock-${method}[id$="-${id}"]`);
      await block.locator('.opblock-summary-control').click();
      await fills[id]?.(block);
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
      if (refusals[id]) assert.equal((await response.json()).rule, refusals[id]);
      else assert.ok(response.ok(), await response.text());
      await check?.(id, response);
      statusOf[id] = response.status();
      await block.locator('.opblock-summary-control').click();
    });
  }
  assert.equal(Object.keys(statusOf).length, operations.length);
  t.diagnostic(JSON.stringify(statusOf));
}

const isOfSystem = ({ id, security }) =>
  id === 'getSystemToken' || security.some((scheme) => 'systemToken' in scheme);

test("Promise: after authorisation each operation of a patient's client runs in Swagger UI with its example", async (t) => {
  const page = await openPage(t, '/docs/');
  await page.locator('.opblock').first().waitFor();
  const all = (await operations()).filter((operation) => !isOfSystem(operation));
  assert.ok(all.length >= 16, `${all.length} operations`);
  await authorize(page);
  await tryOut(t, page, all, {
    // The appointment of the example is already cancelled, so it cannot be moved.
    refusals: { moveAppointment: 'appointment_cancelled' },
    // One of three ways to name the patient is required, so that each parameter is optional.
    fills: { getCodToken: (block) => block.getByPlaceholder('personguid').fill(person(1)) },
  });
});

test("Promise: after authorisation each operation of an institution's system runs in Swagger UI with its example", async (t) => {
  const page = await openPage(t, '/docs/');
  await page.locator('.opblock').first().waitFor();
  const all = (await operations()).filter(isOfSystem);
  assert.ok(all.length >= 44, `${all.length} operations`);
  await authorizeSystem(page);
  await tryOut(t, page, all, {
    // The examples are a legal entity with institutions, and an institution with resources.
    refusals: { deleteLegalEntity: 'object_in_use', deleteLpu: 'object_in_use' },
    // The examples suit the initial demo data. Many name the same objects, and some delete them.
    prepare: async () => {
      const { status } = await fetch(`${talon.baseUrl}/sandbox/reset`, { method: 'POST' });
      assert.equal(status, 204);
    },
    // The response comes before the lines are applied.
    check: async (id, response) => {
      if (id === 'createImport') assert.equal((await finishedImport(response)).lines.failed, 0);
    },
  });
});

/** Waits until an import has ended, and returns its state. `response` is that of its creation. */
async function finishedImport(response) {
  const { authorization } = await response.request().allHeaders();
  const url = new URL((await response.allHeaders()).location, talon.baseUrl);
  for (let tries = 0; tries < 100; tries++) {
    const state = await (await fetch(url, { headers: { authorization } })).json();
    if (state.finishedAt) return state;
    await setTimeout(100);
  }
  throw new Error('the import did not end within ten seconds');
}

test('Promise: Swagger UI sends no optional parameter that the user has not filled in', async (t) => {
  const page = await openPage(t, '/docs/');
  await authorize(page);
  const block = page.locator('.opblock-get[id$="-listDirections"]');
  await block.locator('.opblock-summary-control').click();
  const [request] = await Promise.all([
    page.waitForRequest((request) => request.url().startsWith(`${talon.baseUrl}/directions`)),
    block.getByRole('button', { name: 'Execute' }).click(),
  ]);
  const sent = [...new URL(request.url()).searchParams.keys()];
  assert.deepEqual(sent, ['limit'], 'the only parameter with a default');
});

test('Promise: only the sandbox lets the browser store tokens', async (t) => {
  const stored = (page) => page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage }));
  const sandbox = await openPage(t, '/docs/');
  await authorize(sandbox);
  assert.ok((await stored(sandbox)).includes(talon.token));

  // The service's page lacks the attribute, which a test of internal/httpapi requires.
  const service = await openPage(t, '/docs/reference/');
  await service.route('**/docs/', async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, body: (await response.text()).replace(' data-keep-tokens', '') });
  });
  await service.getByRole('link', { name: 'Try it' }).click();
  await authorize(service);
  assert.equal(await stored(service), '{}');
  assert.equal(await service.context().cookies().then(JSON.stringify), '[]');
});

test('Promise: the reference has every operation, with a search', async (t) => {
  const page = await openPage(t, '/docs/');
  await page.getByRole('link', { name: 'Read it' }).click();
  await page.waitForURL(`${talon.baseUrl}/docs/reference/`);
  for (const { id, method } of await operations()) {
    await page.locator(`[id="operation/${id}"] .http-verb.${method}`).waitFor({ state: 'attached' });
  }
  await page.getByPlaceholder('Search').fill('hold');
  await page.getByRole('search').getByRole('menuitem').filter({ hasText: 'Hold' }).first().click();
  assert.match(page.url(), /#.*holdSlot$/);
});
