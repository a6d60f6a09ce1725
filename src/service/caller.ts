/** What a caller may be allowed to do, on a stream and on namespaces. */
export const ACTIONS = ['append', 'read', 'consume', 'manage', 'admin', 'monitor'] as const;

export type Action = (typeof ACTIONS)[number];

/**
 * A principal that calls, and what it may do. The door that a call comes in by makes it, and hands it on with each
 * call.
 */
export interface Caller {
  /** As the log names it. */
  readonly principal: string;
  /** They hold for all streams and namespaces. */
  readonly permissions: ReadonlySet<Action>;
}

/** A caller that may do everything: without security that is every one that reaches the node. */
export function unrestricted(principal: string): Caller {
  return { principal, permissions: new Set(ACTIONS) };
}
