import type { Readable } from 'node:stream';
import { FlotillaError, LIMITS } from '../src/base/index.js';

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;

/** Room for one event, however it is written. */
export const EVENT_LINE_BYTES = LIMITS.eventDataBytesMax + LIMITS.messageOverheadBytes;

/** The bytes of a stream, until its end or the signal. */
export async function* bytesUntil(signal: AbortSignal, source: Readable = process.stdin): AsyncGenerator<Uint8Array> {
  signal.addEventListener('abort', () => source.destroy(), { once: true });
  if (signal.aborted) return;
  try {
    for await (const chunk of source) {
      yield typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
    }
  } catch (error) {
    // Destroying a stream breaks its iteration off.
    if (!signal.aborted) throw error;
  }
}

/**
 * Cuts chunks of bytes into lines, without decoding them: `\n` and `\r\n` are
 * taken off, everything else stays as it is, and the last line needs no `\n`.
 * Yields the whole lines of each chunk together. Holds at most one line of
 * `maxBytes`; a longer one is MESSAGE_TOO_LARGE.
 */
export async function* linesOf(
  chunks: AsyncIterable<Uint8Array>,
  maxBytes: number,
): AsyncGenerator<Uint8Array[], void, undefined> {
  let parts: Uint8Array[] = [];
  let partBytes = 0;
  let lineNumber = 1;
  for await (const chunk of chunks) {
    const lines: Uint8Array[] = [];
    let start = 0;
    for (let end = chunk.indexOf(LINE_FEED); end >= 0; end = chunk.indexOf(LINE_FEED, start)) {
      const rest = chunk.subarray(start, end);
      lines.push(withoutCarriageReturn(parts.length === 0 ? rest : Buffer.concat([...parts, rest])));
      parts = [];
      partBytes = 0;
      lineNumber++;
      start = end + 1;
    }
    if (start < chunk.byteLength) {
      parts.push(chunk.subarray(start));
      partBytes += chunk.byteLength - start;
    }
    if (lines.length > 0) yield lines;
    if (partBytes > maxBytes)
      throw new FlotillaError('MESSAGE_TOO_LARGE', `line ${lineNumber} is longer than ${maxBytes} bytes`);
  }
  if (parts.length > 0) yield [withoutCarriageReturn(Buffer.concat(parts))];
}

function withoutCarriageReturn(line: Uint8Array): Uint8Array {
  return line.at(-1) === CARRIAGE_RETURN ? line.subarray(0, -1) : line;
}

/**
 * Decodes lines that hold JSON: what to call each, and its text; undefined for a blank one. Throws INVALID_ARGUMENT
 * where one is not UTF-8.
 */
export function jsonLines(): (line: Uint8Array) => { readonly field: string; readonly text: string } | undefined {
  let lineNumber = 0;
  const utf8 = new TextDecoder('utf-8', { fatal: true });
  return (line) => {
    lineNumber++;
    const field = `line ${lineNumber}`;
    let text: string;
    try {
      text = utf8.decode(line);
    } catch (error) {
      throw new FlotillaError('INVALID_ARGUMENT', `${field}: it is not UTF-8`, { cause: error });
    }
    return text.trim() === '' ? undefined : { field, text };
  };
}
