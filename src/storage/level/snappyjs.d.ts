declare module 'snappyjs' {
  /** Throws where the content is not what Snappy makes. */
  export function uncompress(compressed: Uint8Array): Uint8Array;
}
