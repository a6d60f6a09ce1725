/** Values of which the least is at hand; among equals any. */
export class MinHeap<Value> {
  private readonly values: Value[] = [];
  private readonly compare: (left: Value, right: Value) => number;

  constructor(compare: (left: Value, right: Value) => number) {
    this.compare = compare;
  }

  get least(): Value | undefined {
    return this.values[0];
  }

  push(value: Value): void {
    let at = this.values.push(value) - 1;
    while (at > 0) {
      const parent = (at - 1) >>> 1;
      if (!this.isLess(at, parent)) return;
      this.swap(at, parent);
      at = parent;
    }
  }

  pop(): Value | undefined {
    const least = this.values[0];
    const last = this.values.pop();
    if (last !== undefined && this.values.length > 0) {
      this.values[0] = last;
      this.sink();
    }
    return least;
  }

  private sink(): void {
    for (let at = 0; ; ) {
      let least = at;
      if (this.isLess(2 * at + 1, least)) least = 2 * at + 1;
      if (this.isLess(2 * at + 2, least)) least = 2 * at + 2;
      if (least === at) return;
      this.swap(at, least);
      at = least;
    }
  }

  private isLess(left: number, right: number): boolean {
    const leftValue = this.values[left];
    const rightValue = this.values[right];
    return leftValue !== undefined && rightValue !== undefined && this.compare(leftValue, rightValue) < 0;
  }

  private swap(left: number, right: number): void {
    const leftValue = this.values[left];
    const rightValue = this.values[right];
    if (leftValue === undefined || rightValue === undefined) return;
    this.values[left] = rightValue;
    this.values[right] = leftValue;
  }
}
