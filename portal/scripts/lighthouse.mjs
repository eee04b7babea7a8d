// Audits the views of the portal with Lighthouse: a phone with a slow network, both simulated. Fails
// if a score is too low. With the argument FILE it writes the reports as JSON.
import { writeFileSync } from 'node:fs';
import { launch } from 'chrome-launcher';
import lighthouse from 'lighthouse';
import { direction, person, startTalon } from '../../sdk/typescript/test/service.mjs';
import { chromium } from '../test/browser.mjs';

/** The lowest score of each category. */
const minimum = { performance: 98, accessibility: 100, 'best-practices': 100 };

const talon = await startTalon();
const browser = await launch({ chromePath: chromium.executablePath, chromeFlags: [...chromium.args, '--headless=new'] });
const views = {
  patients: '',
  referrals: `?patient=${person(1)}`,
  cells: `?patient=${person(5)}#/referrals/${direction(5, 2)}`,
  ticket: `?patient=${person(2)}#/appointments/de300000-000a-4000-8000-000000000002`,
};
const reports = {};
try {
  for (const [view, address] of Object.entries(views)) {
    const { lhr } = await lighthouse(`${talon.baseUrl}/portal/${address}`, {
      port: browser.port,
      onlyCategories: Object.keys(minimum),
      logLevel: 'error',
    });
    reports[view] = lhr;
    const scores = Object.values(lhr.categories).map(({ id, score }) => [id, Math.round(score * 100)]);
    console.log(view.padEnd(12), scores.map(([id, score]) => `${id} ${score}`).join(', '));
    for (const [id, score] of scores) {
      if (score >= minimum[id]) continue;
      process.exitCode = 1;
      console.log(`${view}: ${id} is below ${minimum[id]}`);
      for (const { id: audit } of lhr.categories[id].auditRefs) {
        const { title, score, scoreDisplayMode, displayValue } = lhr.audits[audit];
        if (score !== null && score < 1) console.log(`  ${audit}: ${title} ${displayValue ?? scoreDisplayMode}`);
      }
    }
  }
} finally {
  browser.kill();
  await talon.stop();
}
if (process.argv[2]) writeFileSync(process.argv[2], JSON.stringify(reports));
