import { FlotillaError } from '../base/index.js';
import type { Action, Caller } from './caller.js';

/**
 * Every use case asks this before it does anything. Throws PERMISSION_DENIED.
 * `stream` is the one that the caller names, undefined where the action is about
 * no stream; `globs` select the namespaces that it is about, none where it is
 * about all of them.
 */
export function authorize(caller: Caller, action: Action, stream?: string, globs: readonly string[] = []): void {
  if (caller.permissions.has(action)) return;
  const where = [
    ...(stream === undefined ? [] : [` in stream ${JSON.stringify(stream)}`]),
    ...(globs.length === 0 ? [] : [` below ${globs.join(', ')}`]),
  ];
  throw new FlotillaError('PERMISSION_DENIED', `${caller.principal} may not ${action}${where.join('')}`);
}
