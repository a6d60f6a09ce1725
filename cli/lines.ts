import { FlotillaError } from '../src/base/index.js';

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;

/**
 * Cuts chunks of bytes into lines, without decoding them: `\n` and `\r\n` are
 * taken off, everything else stays as it is, and the last line needs no `\n`.
 * Yields the whole lines of each chunk together. Holds at most one line of
 * `maxBytes`; a longer one is MESSAGE_TOO_LARGE.
 */
export async function* linesOf(chunks: AsyncIterable<Uint8Array>, maxBytes: number): AsyncGenerator<Uint8Array[], void, undefined> {
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
    if (partBytes > maxBytes) throw new FlotillaError('MESSAGE_TOO_LARGE', `line ${lineNumber} of stdin is longer than ${maxBytes} bytes`);
  }
  if (parts.length > 0) yield [withoutCarriageReturn(Buffer.concat(parts))];
}

function withoutCarriageReturn(line: Uint8Array): Uint8Array {
  return line.at(-1) === CARRIAGE_RETURN ? line.subarray(0, -1) : line;
}
