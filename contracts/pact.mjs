// The pact of a consumer: what its tests expect of Talon, while its own code talks to Pact's mock server.
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

const kept = fileURLToPath(new URL('pacts', import.meta.url));

/**
 * A pact with Talon: a function that adds one exchange to it. When all tests have run, the pact must be the one in `pacts/`; `npm run pacts` puts it there.
 * @param {string} consumer Its name.
 */
export function pactOf(consumer) {
  const written = mkdtempSync(join(tmpdir(), 'talon-pact-'));
  const file = `${consumer}-talon.json`;
  const pact = new Pact({ consumer, provider: 'talon', dir: written, logLevel: 'error' });

  after(async () => {
    try {
      if (process.env.TALON_PACTS === 'write') await copyFile(join(written, file), join(kept, file));
      assert.equal(
        readFileSync(join(written, file), 'utf8'),
        readFileSync(join(kept, file), 'utf8'),
        `pacts/${file} differs from what the tests write: npm run pacts`,
      );
    } finally {
      rmSync(written, { recursive: true, force: true });
    }
  });

  /**
   * @param {string} scenario The provider state: the name of a scenario of the sandbox.
   * @param {string} description What the consumer asks for.
   * @param {{ method: string, path: string, query?: object, headers?: object, body?: object }} request
   * @param {{ status: number, headers?: object, body?: unknown }} response
   * @param {(baseUrl: string) => Promise<void>} talk Has the consumer's code ask, and looks at what it makes of the answer.
   */
  return (scenario, description, request, response, talk) =>
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
          await talk(url);
          await recorded(pact.pact, port);
        }));
}

/** How long the mock server may take to record an answered exchange. Only a failing test waits this long. */
const recordTimeout = 10_000;

/**
 * Waits until the mock server has recorded the exchange. Pact reads the record as soon as the test
 * returns, but pact_mock_server before 2.2.4 sends its response first and records the match later, on
 * another thread. Pact then reports an exchange that took place as «expected but not received»
 * (pact-reference, issue 535). @pact-foundation/pact has 2.2.4 only in releases that need Node 22:
 * remove this function when the project no longer supports Node 20.
 */
async function recorded(mockServer, port) {
  const deadline = performance.now() + recordTimeout;
  while (!mockServer.mockServerMatchedSuccessfully(port) && performance.now() < deadline) await setTimeout(1);
}

/** Who asks: whom the scenario says. Tokens are signed anew with each sandbox; everything else of a scenario stays. */
const authorization = M.fromProviderState('${authorization}', 'Bearer eyJhbGciOiJFUzI1NiJ9');

/** A guid that is another one each time. */
export const uuid = (example = '0199d3f1-5b7c-7c4e-9a51-3f0f5a2f6a10') =>
  M.regex('^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$', example);

/** A time with the offset of its institution. */
export const time = (example = '2019-08-21T08:45:00+03:00') =>
  M.regex('^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}(\\.\\d+)?[+-]\\d{2}:\\d{2}$', example);

/** A day of a request that must be so many days ahead: the consumer's test sends the example, the verification the day. */
export const inDays = (days, example = '2019-08-21') => ({
  'pact:matcher:type': 'date',
  'pact:generator:type': 'Date',
  format: 'yyyy-MM-dd',
  expression: `today + ${days} days`,
  value: example,
});

/** A key for a request that is to be done once. */
export const key = uuid('5f1b7f5e-0a3c-4a57-8d2e-6a1f0b9f4c11');

/** A refusal, to the letter: what a rule answers is a promise. */
export function refusal(code, type, message_code, rule, message, details) {
  return {
    status: code,
    body: { code, message, message_code, type, rule, request_id: uuid(), ...(details && { details }) },
  };
}

export { M };
