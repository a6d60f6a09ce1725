import { FlotillaError, LIMITS } from '../base/index.js';
import { excerpt } from './excerpt.js';
import { hasControlCharacter, utf8Length } from './text.js';

/** Namespaces that begin so are the system's: clients read them and cannot write them. */
export const SYSTEM_NAMESPACE_PREFIX = '/$';

export function isSystemNamespace(namespace: string): boolean {
  return namespace.startsWith(SYSTEM_NAMESPACE_PREFIX);
}

/** The writer: a client, or a node for a feature of its own. */
export type NamespaceWriter = 'producer' | 'system';

/** Throws INVALID_ARGUMENT, which names `field`, unless `writer` may write events under this namespace. */
export function checkNamespace(namespace: string, field: string, writer: NamespaceWriter = 'producer'): void {
  const problem = namespaceProblem(namespace, writer);
  if (problem !== undefined) throw new FlotillaError('INVALID_ARGUMENT', `${field}: ${problem}`);
}

/** Why a namespace is refused; undefined where it is not. */
export function namespaceProblem(namespace: string, writer: NamespaceWriter = 'producer'): string | undefined {
  if (namespace === '') return 'a namespace must not be empty';
  // Each UTF-16 unit is at least a byte: the loops below never see a long string.
  if (namespace.length > LIMITS.namespaceBytes) return tooLong(namespace);
  if (writer === 'producer' && isSystemNamespace(namespace)) {
    return (
      `${excerpt(namespace)} is the system's: clients cannot write namespaces that begin with ` +
      `"${SYSTEM_NAMESPACE_PREFIX}"`
    );
  }
  if (isPlain(namespace)) return undefined;
  const bytes = utf8Length(namespace);
  if (bytes === undefined) return `${excerpt(namespace)} holds a lone surrogate, which is not Unicode text`;
  if (bytes > LIMITS.namespaceBytes) return tooLong(namespace);
  if (hasControlCharacter(namespace)) return `${excerpt(namespace)} holds a control character`;
  if (namespace.trim() === '') return `${excerpt(namespace)} is only white space`;
  return undefined;
}

/** Printable ASCII that begins with something visible, as nearly every namespace is: nothing else to check. */
function isPlain(namespace: string): boolean {
  if (namespace.charCodeAt(0) === 0x20) return false;
  for (let at = 0; at < namespace.length; at++) {
    const unit = namespace.charCodeAt(at);
    if (unit < 0x20 || unit > 0x7e) return false;
  }
  return true;
}

function tooLong(namespace: string): string {
  return `${excerpt(namespace)} is longer than ${LIMITS.namespaceBytes} bytes`;
}
