// Moves the clock of a Node process by CLOCK_OFFSET seconds: node --require test/clock/shift.cjs
const offset = Number(process.env.CLOCK_OFFSET ?? 0) * 1000;
const RealDate = Date;

globalThis.Date = class Date extends RealDate {
  constructor(...parts) {
    if (parts.length === 0) super(RealDate.now() + offset);
    else super(...parts);
  }
  static now() {
    return RealDate.now() + offset;
  }
};
