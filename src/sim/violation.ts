/** A property that did not hold. */
export class Violation extends Error {
  override readonly name = 'Violation';
  readonly property: string;

  constructor(property: string, message: string) {
    super(`${property}: ${message}`);
    this.property = property;
  }
}
