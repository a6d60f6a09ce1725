/** What runs on a group may want to know when to look again. Called often, within turns: it must be quick. */
export interface GroupListener {
  /** A turn ends: anything may have changed. */
  turned?(): void;
  /** The clocks of the nodes were compared, and this one leads. */
  clocksCompared?(): void;
  /** This node takes part no more. */
  stopped?(): void;
}
