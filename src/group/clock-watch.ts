import { type ActorId, LIMITS } from '../base/index.js';
import type { GroupTime } from './group-time.js';
import type { Logger } from './logger.js';
import type { PeerClocks } from './peer-clocks.js';

/** A group, as far as its time goes. */
interface Timed {
  readonly time: GroupTime;
  readonly tail: { readonly timeMs: number };
}

interface Finding {
  /** What it is about: numbers change from look to look. */
  readonly subject: string;
  readonly text: string;
}

/** Finds out which node's clock is wrong, for its operator to set it right: says so once, and again when it is over. */
export class ClockWatch {
  private readonly clocks: PeerClocks;
  private readonly groups: () => Iterable<Timed>;
  private readonly logger: Logger | undefined;
  private told: ReadonlySet<string> = new Set();

  constructor(options: {
    readonly clocks: PeerClocks;
    readonly groups: () => Iterable<Timed>;
    readonly logger: Logger | undefined;
  }) {
    this.clocks = options.clocks;
    this.groups = options.groups;
    this.logger = options.logger;
  }

  /** One sentence each. */
  get warnings(): string[] {
    return this.findings().map(({ text }) => text);
  }

  /** Clocks were compared. */
  check(): void {
    const findings = this.findings();
    for (const { subject, text } of findings) if (!this.told.has(subject)) this.logger?.warn({}, text);
    if (this.told.size > 0 && findings.length === 0) this.logger?.info({}, 'the clocks that were wrong agree again');
    this.told = new Set(findings.map(({ subject }) => subject));
  }

  private findings(): Finding[] {
    const findings: Finding[] = [];
    // All groups of a node have it from the same clocks: the first that complains speaks for all.
    for (const group of this.groups()) {
      findings.push(...this.findingsOf(group));
      if (findings.length > 0) break;
    }
    const step = this.clocks.lastStep;
    if (step !== undefined && step.agoMs < LIMITS.clockTrustMs)
      findings.push({
        subject: 'step',
        text: `this node's clock was set ${offset(step.byMs)}, ${duration(step.agoMs)} ago`,
      });
    return findings;
  }

  private findingsOf({ time, tail }: Timed): Finding[] {
    const now = time.now();
    if (now === undefined) return [];
    const { verdict, toleranceMs } = time;
    if (verdict.kind === 'off') {
      const text =
        `this node's clock is ${offset(verdict.byMs)} of those of a majority of the members: set it right; ` +
        'what it stamps as a leader gets their time';
      return [{ subject: 'own', text }];
    }
    const strangers = [...this.clocks.skewsMs()].filter(([, skewMs]) => Math.abs(skewMs) > toleranceMs);
    const findings = strangers.map(([peer, skewMs]) => strange(peer, skewMs));
    if (verdict.kind === 'divided') {
      const apart = duration(verdict.apartMs);
      const text =
        `the clocks of the members that can be asked are ${apart} apart, and no majority agrees on a time: ` +
        'log time goes by the latest, and nothing is given up that is not too old by the earliest';
      findings.push({ subject: 'divided', text });
    }
    if (tail.timeMs > now.latestMs + toleranceMs) {
      const ahead = offset(tail.timeMs - now.latestMs);
      const text =
        `the stream's time is ${ahead} of the members' clocks: these are wrong, or were; ` +
        `it is set back when they have stayed so for at most ${duration(LIMITS.clockTrustMs)}`;
      findings.push({ subject: 'log time', text });
    }
    return findings;
  }
}

function strange(peer: ActorId, skewMs: number): Finding {
  return { subject: `peer ${peer}`, text: `the clock of actor ${peer} is ${offset(skewMs)} of this node's` };
}

/** Such as `12 s ahead`. */
function offset(ms: number): string {
  return `${duration(Math.abs(ms))} ${ms > 0 ? 'ahead' : 'behind'}`;
}

const UNITS = [
  ['days', 86_400_000],
  ['hours', 3_600_000],
  ['minutes', 60_000],
] as const;

function duration(ms: number): string {
  const [name, unitMs] = UNITS.find(([, each]) => ms >= 2 * each) ?? ['s', 1000];
  return `${Number((ms / unitMs).toFixed(1))} ${name}`;
}
