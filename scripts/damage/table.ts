/** How a case ended. `no damage`: there was nothing of the kind to damage, or it would have stayed the same. */
export type Outcome =
  | 'went on'
  | 'rebuilt a segment'
  | 'began anew'
  | 'refused to start'
  | 'refused a range'
  | 'served right'
  | 'no damage'
  | 'FAILED';

export interface Row {
  readonly name: string;
  readonly outcome: Outcome;
  readonly note: string;
  readonly durationMs: number;
}

export class Table {
  private readonly rows: Row[] = [];
  private readonly beginMs = performance.now();

  add(row: Row): void {
    this.rows.push(row);
    const { name, outcome, note, durationMs } = row;
    process.stdout.write(
      `${outcome.padEnd(17)}  ${name}${note === '' ? '' : `: ${note}`}, ${(durationMs / 1000).toFixed(1)} s\n`,
    );
  }

  get failed(): boolean {
    return this.rows.some(({ outcome }) => outcome === 'FAILED');
  }

  /** How often each outcome, and what failed once more. */
  print(title: string): void {
    const counts = new Map<Outcome, number>();
    for (const { outcome } of this.rows) counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
    const lines = [...counts].map(([outcome, count]) => `${String(count).padStart(5)}  ${outcome}\n`);
    const failed = this.rows
      .filter(({ outcome }) => outcome === 'FAILED')
      .map(({ name, note }) => `FAILED ${name}: ${note}\n`);
    const seconds = Math.round((performance.now() - this.beginMs) / 1000);
    process.stdout.write(`\n${title}: ${this.rows.length} cases in ${seconds} s\n${lines.join('')}${failed.join('')}`);
  }
}
