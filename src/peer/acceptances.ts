interface Acceptance {
  readonly given: Promise<void>;
  readonly give: () => void;
}

/**
 * Knows which peers have let this node in since it was started. Until a peer has, what
 * it says waits: it may be about to answer that this node's disk was rolled
 * back, and then nothing must come of its messages, no vote and no
 * acknowledgement. The answers to them could not have left before, either.
 */
export class Acceptances {
  private readonly accepting = new Set<string>();
  private readonly awaited = new Map<string, Acceptance>();

  /** Undefined where the peer has accepted this node, else a promise of that. */
  of(instance: string): Promise<void> | undefined {
    if (this.accepting.has(instance)) return undefined;
    let acceptance = this.awaited.get(instance);
    if (acceptance === undefined) {
      acceptance = newAcceptance();
      this.awaited.set(instance, acceptance);
    }
    return acceptance.given;
  }

  accepted(instance: string): void {
    this.accepting.add(instance);
    this.awaited.get(instance)?.give();
    this.awaited.delete(instance);
  }

  /** Forgets all others. */
  retain(instances: ReadonlySet<string>): void {
    for (const instance of this.accepting) if (!instances.has(instance)) this.accepting.delete(instance);
    // Their streams have ended; what still waits is let go of, and comes to nothing.
    for (const [instance, { give }] of this.awaited) {
      if (instances.has(instance)) continue;
      give();
      this.awaited.delete(instance);
    }
  }
}

function newAcceptance(): Acceptance {
  let give: () => void = () => undefined;
  const given = new Promise<void>((resolve) => {
    give = resolve;
  });
  return { given, give };
}
