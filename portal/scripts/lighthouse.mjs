// Audits the views of the portal with Lighthouse: a phone on a slow network, both simulated. Fails if
// a score is too low. With the argument FILE it writes the reports as JSON.
import { writeFileSync } from 'node:fs';
import { launch } from 'chrome-launcher';
import lighthouse from 'lighthouse';
import { direction, person, startTalon } from '../../sdk/typescript/test/service.mjs';
import { chromium } from '../test/browser.mjs';

/** The lowest score of each category. */
const minimum = { performance: 98, accessibility: 100, 'best-practices': 100 };

/**
 * The number of runs in which a view must reach the minimum once. Other work on the machine makes a
 * run slower, never faster.
 */
const maxRuns = 5;

/** Returns the metrics of the speed, in milliseconds. */
const metricsOf = ({ audits }) =>
  ['first-contentful-paint', 'largest-contentful-paint', 'total-blocking-time', 'speed-index']
    .map((id) => `${id} ${Math.round(audits[id].numericValue)}`)
    .join(', ');

/** Returns the audits that lower a score. */
const causesOf = ({ categories, audits }, category) =>
  categories[category].auditRefs
    .map(({ id }) => audits[id])
    .filter(({ score }) => score !== null && score < 1)
    .map(({ id, title, displayValue = '' }) => `\n  ${id}: ${title} ${displayValue}`);

const talon = await startTalon();
const browser = await launch({
  chromePath: chromium.executablePath,
  chromeFlags: [...chromium.args, '--headless=new'],
});
const views = {
  patients: '',
  referrals: `?patient=${person(1)}`,
  cells: `?patient=${person(5)}#/referrals/${direction(5, 2)}`,
  ticket: `?patient=${person(2)}#/appointments/de300000-000a-4000-8000-000000000002`,
};
const reports = {};
try {
  for (const [view, address] of Object.entries(views)) {
    const url = `${talon.baseUrl}/portal/${address}`;
    let failed = [];
    for (let run = 1; run <= maxRuns; run++) {
      const { lhr } = await lighthouse(url, {
        port: browser.port,
        onlyCategories: Object.keys(minimum),
        logLevel: 'error',
      });
      reports[view] = lhr;
      const scores = Object.values(lhr.categories).map(({ id, score }) => [id, Math.round(score * 100)]);
      console.log(view.padEnd(10), ...scores.map(([id, score]) => `${id} ${score}`.padEnd(18)), metricsOf(lhr));
      failed = scores.filter(([id, score]) => score < minimum[id]).map(([id]) => id);
      if (!failed.includes('performance') || failed.length > 1) break;
    }
    if (failed.length > 0) {
      process.exitCode = 1;
      console.log(...failed.flatMap((id) => causesOf(reports[view], id)));
    }
  }
} finally {
  browser.kill();
  await talon.stop();
}
if (process.argv[2]) writeFileSync(process.argv[2], JSON.stringify(reports));
