import { isMap, isScalar, LineCounter, type Pair, parseDocument } from 'yaml';
import { LIMITS, messageOf } from '../../base/index.js';
import { isOptionName, OPTION_NAMES, type OptionName } from './options.js';
import type { SourceReading, Written } from './sources.js';

/** Reads a configuration file; `read` gives its text or throws. */
export function settingsOfFile(path: string, read: (path: string) => string): SourceReading {
  let text: string;
  try {
    text = read(path);
  } catch (error) {
    return {
      settings: new Map(),
      problems: [`--config ${path}: can't be read (${messageOf(error)}); check the path and its permissions`],
    };
  }
  if (text.length > LIMITS.configFileBytes) {
    return {
      settings: new Map(),
      problems: [`--config ${path}: is larger than ${LIMITS.configFileBytes} bytes and can't be a list of settings`],
    };
  }
  return settingsOfYaml(path, text);
}

function settingsOfYaml(path: string, text: string): SourceReading {
  const lines = new LineCounter();
  const at = (offset: number | undefined): string =>
    offset === undefined ? path : `${path}, line ${lines.linePos(offset).line}`;
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const problems = [...document.errors, ...document.warnings].map(({ message, pos }) => `${at(pos[0])}: ${message}`);
  const settings = new Map<OptionName, Written>();
  if (problems.length > 0 || document.contents === null) return { settings, problems };
  if (!isMap(document.contents))
    return { settings, problems: [`${path}: must be a list of "key: value" lines, such as "port: 3000"`] };
  for (const pair of document.contents.items) {
    const { key, offset } = keyOf(pair);
    const where = at(offset);
    if (!isOptionName(key) || key === 'config') {
      const known = OPTION_NAMES.filter((name) => name !== 'config');
      problems.push(`${where}: ${JSON.stringify(key)} is no setting; there are ${known.join(', ')}`);
      continue;
    }
    try {
      const value: unknown = document.getIn([key], true);
      settings.set(key, { value: plain(value, document), source: `${key} (${where})` });
    } catch (error) {
      problems.push(`${where}: ${key}: ${messageOf(error)}`);
    }
  }
  return { settings, problems };
}

function keyOf({ key }: Pair): { key: string; offset: number | undefined } {
  if (!isScalar(key)) return { key: String(key), offset: undefined };
  return { key: String(key.value), offset: key.range?.[0] };
}

/** The JavaScript value of a node. Aliases are resolved a few times at most: nested ones can stand for gigabytes. */
function plain(node: unknown, document: ReturnType<typeof parseDocument>): unknown {
  if (node !== null && typeof node === 'object' && 'toJS' in node && typeof node.toJS === 'function') {
    return node.toJS(document, { maxAliasCount: LIMITS.configFileAliases });
  }
  return node;
}
