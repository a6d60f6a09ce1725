import { type ActorId, present, type Seat } from '../base/index.js';
import { type Configuration, IndexedHistory, membersOf } from '../raft/index.js';
import type { Membership, PlacedMembership } from '../wire/index.js';

/**
 * What consensus knows as configurations, with the nodes that the actors are. Follows the log as the configurations do.
 */
export class Memberships extends IndexedHistory<PlacedMembership> {
  /**
   * Whether the log has taken this node in and, later, out again. Before the log's first record nobody was taken in.
   */
  hasLeft(instance: string): boolean {
    const names = ({ membership }: PlacedMembership): boolean =>
      membership.members.some((member) => member.instance === instance);
    return !names(this.latest) && this.history.some((placed) => placed.index > 0 && names(placed));
  }

  /**
   * The node that the log means by this actor, by the latest configuration that names it: a leader goes on for a while
   * with a server that has just left, and must not take the next one of its actor id for it. Undefined: none does.
   */
  seatOf(actor: ActorId): Seat | undefined {
    for (let at = this.history.length - 1; at >= 0; at--) {
      const seat = this.history[at]?.membership.members.find((member) => member.actor === actor);
      if (seat !== undefined) return seat;
    }
    return undefined;
  }

  /** The membership of a new configuration; `introduced`: the seats of actors that it brings in. */
  membershipOf(configuration: Configuration, introduced: readonly Seat[]): Membership {
    const known = new Map([...this.latest.membership.members, ...introduced].map((seat) => [seat.actor, seat]));
    const members = membersOf(configuration)
      .sort((a, b) => a - b)
      .map((actor) => present(known.get(actor), `nobody has said which node actor ${actor} is`));
    return { ...configuration, members };
  }
}
