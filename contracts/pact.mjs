// Records the pact of a consumer. Its tests call its code, which calls Pact's mock server.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

process.env.PACT_DO_NOT_TRACK = '1';
const { Matchers: M, Pact } = await import('@pact-foundation/pact').then(({ MatchersV3, ...rest }) => ({
  Matchers: MatchersV3,
  ...rest,
}));

const pactFolder = fileURLToPath(new URL('pacts', import.meta.url));

/**
 * Creates the pact of a consumer with Talon. Returns a function that adds an interaction to the
 * pact and tests it. After all tests the pact must be equal to the file in `pacts/`, which
 * `npm run pacts` writes.
 * @param {string} consumer The name of the consumer.
 */
export function pactOf(consumer) {
  const written = mkdtempSync(join(tmpdir(), 'talon-pact-'));
  const file = `${consumer}-talon.json`;
  const pact = new Pact({ consumer, provider: 'talon', dir: written, logLevel: 'error' });

  after(async () => {
    try {
      if (process.env.TALON_PACTS === 'write') await copyFile(join(written, file), join(pactFolder, file));
      assert.equal(
        readFileSync(join(written, file), 'utf8'),
        readFileSync(join(pactFolder, file), 'utf8'),
        `pacts/${file} differs from what the tests write: npm run pacts`,
      );
    } finally {
      rmSync(written, { recursive: true, force: true });
    }
  });

  /**
   * @param {string} scenario The provider state: the name of a scenario of the sandbox.
   * @param {string} description The purpose of the request.
   * @param {object} request Its `method` and `path`, and optionally `query`, `headers` and `body`.
   * @param {{ status: number, headers?: object, body?: unknown }} response
   * @param {(baseUrl: string) => Promise<void>} check Calls the consumer's code and checks it.
   */
  return (scenario, description, request, response, check) =>
    test(`${scenario}: ${description}`, () =>
      pact
        .addInteraction()
        .given(scenario)
        .uponReceiving(description)
        .withRequest(request.method, request.path, (builder) => {
          builder.headers({ Authorization: authorization, ...request.headers });
          if (request.query) builder.query(request.query);
          if (request.body) builder.jsonBody(request.body);
        })
        .willRespondWith(response.status, (builder) => {
          builder.headers({
            'Content-Type': M.regex('^application/json', 'application/json'),
            'X-Request-Id': uuid(),
            ...response.headers,
          });
          if (response.body) builder.jsonBody(response.body);
        })
        .executeTest(async ({ url, port }) => {
          await check(url);
          await waitUntilRecorded(pact.pact, port);
        }));
}

/** The limit for recording an interaction in milliseconds. Only a failing test waits this long. */
const recordTimeout = 10_000;

/**
 * Waits until the mock server has recorded the interaction. Pact reads the record as soon as the
 * test returns, but pact_mock_server before 2.2.4 sends its response first and records the match
 * later, on another thread. Pact then reports a completed interaction as «expected but not
 * received» (pact-reference, issue 535). @pact-foundation/pact contains 2.2.4 only in releases that
 * need Node 22: remove this function when the project no longer supports Node 20.
 */
async function waitUntilRecorded(mockServer, port) {
  const deadline = performance.now() + recordTimeout;
  while (!mockServer.mockServerMatchedSuccessfully(port) && performance.now() < deadline) await setTimeout(1);
}

/** The Authorization header of the scenario. It is injected: each sandbox signs new tokens. */
const authorization = M.fromProviderState('${authorization}', 'Bearer eyJhbGciOiJFUzI1NiJ9');

/** Matches any guid. */
export const uuid = (example = '0199d3f1-5b7c-7c4e-9a51-3f0f5a2f6a10') =>
  M.regex('^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$', example);

/** Matches any time with a UTC offset. */
export const time = (example = '2019-08-21T08:45:00+03:00') =>
  M.regex('^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}(\\.\\d+)?[+-]\\d{2}:\\d{2}$', example);

/**
 * A day in a request that is some days ahead. The consumer's test sends the example, and the
 * verification sends the day.
 */
export const inDays = (days, example = '2019-08-21') => ({
  'pact:matcher:type': 'date',
  'pact:generator:type': 'Date',
  format: 'yyyy-MM-dd',
  expression: `today + ${days} days`,
  value: example,
});

/** Matches any Idempotency-Key. */
export const key = uuid('5f1b7f5e-0a3c-4a57-8d2e-6a1f0b9f4c11');

/** Matches a refusal exactly: the contract guarantees the values of each rule. */
export function refusal(code, type, message_code, rule, message, details) {
  return {
    status: code,
    body: { code, message, message_code, type, rule, request_id: uuid(), ...(details && { details }) },
  };
}

export { M };
