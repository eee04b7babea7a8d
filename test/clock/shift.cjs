// Moves the clock of a Node process by CLOCK_OFFSET seconds: node --require test/clock/shift.cjs
const offset = Number(process.env.CLOCK_OFFSET ?? 0) * 1000;

/** Moves the clock of a Node process, or of a page in a browser, by the given milliseconds. */
function moveClock(milliseconds) {
  const RealDate = Date;
  globalThis.Date = class Date extends RealDate {
    constructor(...parts) {
      if (parts.length === 0) super(RealDate.now() + milliseconds);
      else super(...parts);
    }
    static now() {
      return RealDate.now() + milliseconds;
    }
  };
}

moveClock(offset);
globalThis.movedClock = { move: moveClock, milliseconds: offset }; // for portal/test/browser.mjs
