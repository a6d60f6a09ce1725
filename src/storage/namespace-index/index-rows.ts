import { FlotillaError } from '../../base/index.js';
import type { NamespaceCount, NamespaceCursor } from '../../stream/index.js';
import { blocksFor, type WithIndex } from './index-file.js';
import type { DirectoryBlock } from './index-layout.js';

/** The rows of one index that may have a prefix, a block at a time; the file is open only while one is read. */
export class IndexRows implements NamespaceCursor {
  private readonly withIndex: WithIndex;
  private readonly blocks: readonly DirectoryBlock[];
  private at = 0;

  constructor(withIndex: WithIndex, blocks: readonly DirectoryBlock[]) {
    this.withIndex = withIndex;
    this.blocks = blocks;
  }

  /** Undefined where there is no index. */
  static of(withIndex: WithIndex, prefix: Buffer, after: Buffer): Promise<IndexRows | undefined> {
    return withIndex(async (file) => new IndexRows(withIndex, blocksFor(await file.top(), prefix, after)));
  }

  async next(): Promise<readonly NamespaceCount[]> {
    const block = this.blocks[this.at++];
    if (block === undefined) return [];
    const rows = await this.withIndex((file) => file.rows(block));
    if (rows === undefined)
      throw new FlotillaError('NOT_READY', 'a segment was removed while its namespaces were listed; list them again');
    return rows;
  }
}
