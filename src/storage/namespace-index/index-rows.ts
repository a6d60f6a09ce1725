import { FlotillaError } from '../../base/index.js';
import type { NamespaceCount, NamespaceCursor } from '../../replica/index.js';
import { blocksFor, type IndexFile } from './index-file.js';
import type { DirectoryBlock } from './index-layout.js';

/** The rows of one index that may have a prefix, a block at a time; the file is open only while one is read. */
export class IndexRows implements NamespaceCursor {
  private readonly open: () => Promise<IndexFile | undefined>;
  private readonly blocks: readonly DirectoryBlock[];
  private at = 0;

  constructor(open: () => Promise<IndexFile | undefined>, blocks: readonly DirectoryBlock[]) {
    this.open = open;
    this.blocks = blocks;
  }

  /** Undefined where there is no index. */
  static async of(open: () => Promise<IndexFile | undefined>, prefix: Buffer, after: Buffer): Promise<IndexRows | undefined> {
    const file = await open();
    if (file === undefined) return undefined;
    try {
      return new IndexRows(open, blocksFor(await file.top(), prefix, after));
    } finally {
      await file.close();
    }
  }

  async next(): Promise<readonly NamespaceCount[]> {
    const block = this.blocks[this.at++];
    if (block === undefined) return [];
    const file = await this.open();
    if (file === undefined) throw new FlotillaError('NOT_READY', 'a segment was removed while its namespaces were listed; list them again');
    try {
      return await file.rows(block);
    } finally {
      await file.close();
    }
  }
}
