// Starts Debian's Chromium for the tests and the pictures. It connects only to this machine.
import { existsSync } from 'node:fs';
import { chromium as driver } from 'playwright-core';

/** How Chromium is started. */
export const chromium = {
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ],
};

/** Starts the browser. Close it at the end. */
export async function startBrowser() {
  const { executablePath } = chromium;
  if (!existsSync(executablePath)) {
    throw new Error(`no Chromium at ${executablePath}: install it (apt-get install chromium), or set CHROMIUM`);
  }
  const browser = await driver.launch(chromium);
  // If test/clock has moved the clock of this process, move the clocks of the pages, too.
  const { movedClock } = globalThis;
  if (movedClock) {
    const newContext = browser.newContext.bind(browser);
    browser.newContext = async (options) => {
      const context = await newContext(options);
      await context.addInitScript(movedClock.move, movedClock.milliseconds);
      return context;
    };
  }
  return browser;
}
