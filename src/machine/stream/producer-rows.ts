import { NO_ROW } from './known-batches.js';

/** The number of places at first; always a power of two. */
const FIRST_CAPACITY = 32;

/**
 * The row of each producer, by its id: a hash table with open addressing in columns of numbers. Tens of thousands of
 * ids of 53 bits take a Map ten times as long, most of it at once when it grows, and give the garbage collector as many
 * objects.
 */
export class ProducerRows {
  private ids = new Float64Array(FIRST_CAPACITY);
  private rows = new Int32Array(FIRST_CAPACITY).fill(NO_ROW);
  private count = 0;

  get size(): number {
    return this.count;
  }

  /** NO_ROW where the id is not known. */
  get(id: number): number {
    return this.rowIn(this.placeOf(id));
  }

  has(id: number): boolean {
    return this.get(id) !== NO_ROW;
  }

  /** Of an id that is not known yet. */
  add(id: number, row: number): void {
    // Half of the places stay free, so that the next free one is near.
    if (2 * (this.count + 1) > this.rows.length) this.grow();
    this.put(this.placeOf(id), id, row);
    this.count++;
  }

  delete(id: number): void {
    let free = this.placeOf(id);
    if (this.rowIn(free) === NO_ROW) return;
    this.count--;
    // Those behind it move up, unless that brought them before the place where a search for them begins.
    for (let place = this.after(free); this.rowIn(place) !== NO_ROW; place = this.after(place)) {
      const other = this.idIn(place);
      if (this.distance(this.firstPlaceOf(other), place) < this.distance(free, place)) continue;
      this.put(free, other, this.rowIn(place));
      free = place;
    }
    this.rows[free] = NO_ROW;
  }

  private grow(): void {
    const { ids, rows } = this;
    this.ids = new Float64Array(2 * ids.length);
    this.rows = new Int32Array(2 * rows.length).fill(NO_ROW);
    for (let place = 0; place < rows.length; place++) {
      const [id = 0, row = NO_ROW] = [ids[place], rows[place]];
      if (row !== NO_ROW) this.put(this.placeOf(id), id, row);
    }
  }

  private put(place: number, id: number, row: number): void {
    this.ids[place] = id;
    this.rows[place] = row;
  }

  /** Where an id is, or would be put. */
  private placeOf(id: number): number {
    let place = this.firstPlaceOf(id);
    while (this.rowIn(place) !== NO_ROW && this.idIn(place) !== id) place = this.after(place);
    return place;
  }

  /** Both halves of an id count, and all of their bits: clients choose them, and some may count up. */
  private firstPlaceOf(id: number): number {
    const low = id >>> 0;
    let hash = low ^ Math.imul((id - low) / 2 ** 32, 0x9e3779b1);
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    return (hash ^ (hash >>> 16)) & (this.rows.length - 1);
  }

  private after(place: number): number {
    return (place + 1) & (this.rows.length - 1);
  }

  private distance(from: number, to: number): number {
    return (to - from) & (this.rows.length - 1);
  }

  private rowIn(place: number): number {
    return this.rows[place] ?? NO_ROW;
  }

  private idIn(place: number): number {
    return this.ids[place] ?? 0;
  }
}
