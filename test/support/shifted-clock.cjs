/**
 * Loaded before a node's first line (`--require`): its time of day is off by SHIFTED_CLOCK_MS. Its monotonic clock is
 * not.
 */
const shiftMs = Number(process.env.SHIFTED_CLOCK_MS);
if (!Number.isSafeInteger(shiftMs)) throw new Error('SHIFTED_CLOCK_MS: is no number of milliseconds');

const RealDate = Date;
const now = () => RealDate.now() + shiftMs;

globalThis.Date = new Proxy(RealDate, {
  construct: (target, args, newTarget) => Reflect.construct(target, args.length === 0 ? [now()] : args, newTarget),
  apply: () => new RealDate(now()).toString(),
  get: (target, name, receiver) => (name === 'now' ? now : Reflect.get(target, name, receiver)),
});
