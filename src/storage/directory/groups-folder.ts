import { join } from 'node:path';
import { type GroupId, groupId } from '../../base/index.js';

/** Where a node's groups are. */
export function groupsPathOf(nodePath: string): string {
  return join(nodePath, 'groups');
}

/** Undefined where the name is not a group's. */
export function groupIdOf(name: string): GroupId | undefined {
  const id = Number(name);
  return Number.isSafeInteger(id) && id >= 0 && String(id) === name ? groupId(id) : undefined;
}
