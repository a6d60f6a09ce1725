/** What a run has met. One that met too little has shown nothing. */
export interface Figures {
  elections: number;
  crashes: number;
  /** Power cuts and ends of processes that took something that was on its way to the disk. */
  lostWrites: number;
  truncations: number;
  /** Times that a log said that it begins later. */
  retentions: number;
  /** Logs that began later than before … */
  cuts: number;
  /** … and followers' that were replaced by what stands before another's begin. */
  snapshots: number;
  /** Configurations that were committed. */
  memberChanges: number;
  transfers: number;
  /** Times that a node quiesced, because nothing happened in the group. */
  quiesced: number;
  /** Processes that stopped by themselves: a failed fsync, a full disk, damage found while running. */
  failStops: number;
  damages: number;
  /** Damage that a start has refused to go on with. */
  damagesRefused: number;
  replacements: number;
  committed: number;
  produced: number;
  acknowledged: number;
  unknownOutcomes: number;
  /** Acknowledgements of batches that had one before. */
  knownAgain: number;
  /** Batches that were refused because of what their producer has in the stream. */
  sequenceRefusals: number;
  producersOpened: number;
  readsConfirmed: number;
  recordsRead: number;
  /** Times that a stranger passed itself off as a member, and was not let in. */
  outsidersRefused: number;
  /** Syncs that took long, among others that did not. */
  slowSyncs: number;
  /** Events that tails with a glob were given … */
  globEvents: number;
  /** … and times that an index told them what matches, or that nothing does. */
  indexAnswers: number;
  /** Times of day that were set to something wrong, or right again. */
  clocksSet: number;
  /** Times that log time was set back. */
  logTimesSetBack: number;
  /** Times that events were given up for nothing but their age. */
  agedOut: number;
}

export function noFigures(): Figures {
  return {
    elections: 0,
    crashes: 0,
    lostWrites: 0,
    truncations: 0,
    retentions: 0,
    cuts: 0,
    snapshots: 0,
    memberChanges: 0,
    transfers: 0,
    quiesced: 0,
    failStops: 0,
    damages: 0,
    damagesRefused: 0,
    replacements: 0,
    committed: 0,
    produced: 0,
    acknowledged: 0,
    unknownOutcomes: 0,
    knownAgain: 0,
    sequenceRefusals: 0,
    producersOpened: 0,
    readsConfirmed: 0,
    recordsRead: 0,
    outsidersRefused: 0,
    slowSyncs: 0,
    globEvents: 0,
    indexAnswers: 0,
    clocksSet: 0,
    logTimesSetBack: 0,
    agedOut: 0,
  };
}

export function figureNames(figures: Figures): (keyof Figures)[] {
  const isFigure = (name: string): name is keyof Figures => Object.hasOwn(figures, name);
  return Object.keys(figures).filter(isFigure);
}

export function addFigures(total: Figures, figures: Figures): void {
  for (const name of figureNames(total)) total[name] += figures[name];
}
