import type { Writable } from 'node:stream';
import { ERRORS, FlotillaError, messageOf } from '../src/base/index.js';

/** Exit codes of the command line; those of a failed operation stand in the table of errors. */
export const EXIT = { success: 0, failed: 1, usage: 2, interrupted: 130 } as const;

type OutputStream = Writable & { readonly isTTY?: boolean };

/** What is written in one go. */
const CHUNK_BYTES = 64 * 1024;

/**
 * Results, on stdout or in a file. Collects small pieces, and makes the writer wait while a
 * slow reader of the pipe has not taken what came before, so memory stays flat.
 */
export class Output {
  readonly isTerminal: boolean;
  /** The reader of the output has gone: nothing more can be written, and no one misses it. */
  closed = false;
  private pieces: (string | Uint8Array)[] = [];
  private bytes = 0;
  private onClosed: () => void = () => undefined;

  private readonly stream: OutputStream;

  constructor(stream: OutputStream = process.stdout) {
    this.stream = stream;
    this.isTerminal = stream.isTTY === true;
    stream.on('error', (error: NodeJS.ErrnoException) => {
      // That of stdout is told of, for all that writes to it, by watchStdout.
      if (stream !== process.stdout && !isReaderGone(error)) tellOfFailedWrite('the file', error);
      this.closed = true;
      this.onClosed();
    });
  }

  /** What to do as soon as the reader is gone. */
  whenClosed(listener: () => void): void {
    this.onClosed = listener;
    if (this.closed) listener();
  }

  /** Keeps a piece for the next `write`. */
  collect(piece: string | Uint8Array): void {
    this.pieces.push(piece);
    this.bytes += piece.length;
  }

  /** Undefined where more may follow at once. */
  write(piece: string | Uint8Array): Promise<void> | undefined {
    this.collect(piece);
    return this.bytes < CHUNK_BYTES ? undefined : this.flush();
  }

  /** Resolves when everything so far has been handed to the system, or its reader has gone. */
  async flush(): Promise<void> {
    if (this.closed || this.pieces.length === 0) return;
    const chunk = Buffer.concat(this.pieces.map((piece) => (typeof piece === 'string' ? Buffer.from(piece) : piece)));
    this.pieces = [];
    this.bytes = 0;
    // The callback also runs after a failed write, which the 'error' event above tells of.
    await new Promise<void>((resolve) => this.stream.write(chunk, () => resolve()));
  }
}

/** Whether stdout is a terminal that takes colours: see no-color.org. */
export function showsColours(): boolean {
  const { NO_COLOR: noColour } = process.env;
  return process.stdout.isTTY && (noColour === undefined || noColour === '');
}

/** A result that is known as a whole: text, or an object that goes out as JSON. */
export async function printResult(result: string | object): Promise<void> {
  const output = new Output();
  output.collect(typeof result === 'string' ? result : `${JSON.stringify(result, undefined, 2)}\n`);
  await output.flush();
}

/**
 * From here on a failed write to stdout is reported once, whichever code made it, and the exit code that a command ends
 * with is a failure's. A reader that has gone is no failure of ours: `flotilla consume | head`.
 */
export function watchStdout(): (exitCode: number) => number {
  let failed = false;
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (!failed && !isReaderGone(error)) {
      failed = true;
      tellOfFailedWrite('stdout', error);
    }
  });
  return (exitCode) => (failed && exitCode === EXIT.success ? EXIT.failed : exitCode);
}

const isReaderGone = (error: NodeJS.ErrnoException): boolean => error.code === 'EPIPE';

function tellOfFailedWrite(what: string, error: Error): void {
  process.stderr.write(`error: ${what} can't be written: ${error.message}\n`);
}

/** Tells of a failure on stderr, in one line, and returns the exit code that belongs to it. */
export function reportError(error: unknown): number {
  if (error instanceof FlotillaError) {
    process.stderr.write(`error: ${oneLine(error.message)} (${error.code})\n`);
    return ERRORS[error.code].exit;
  }
  process.stderr.write(`error: ${oneLine(messageOf(error))}\n`);
  return EXIT.failed;
}

export function warn(message: string): void {
  process.stderr.write(`warning: ${oneLine(message)}\n`);
}

export function note(message: string): void {
  process.stderr.write(`${oneLine(message)}\n`);
}

/** A message may quote what a user or another node wrote: it must neither break the line nor steer a terminal. */
export function oneLine(message: string): string {
  return escapeControls(message.replace(/\s*[\r\n]+\s*/g, ' '));
}

/**
 * Control characters as `\x1b`, so that data can't steer the terminal it is
 * shown on. Line breaks and tabs stay.
 */
export function escapeControls(text: string): string {
  // Cc (C0, DEL, C1) and what reverses or hides the text around it.
  return text.replace(/[\p{Cc}\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu, (character) => {
    if (character === '\n' || character === '\t') return character;
    const code = character.charCodeAt(0);
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16).padStart(4, '0')}`;
  });
}

/** The same within JSON text, where an escape must be one of JSON's. */
export function escapeControlsInJson(json: string): string {
  return json.replace(
    /[\p{Cc}\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** Sizes as people read them: `1.5 GiB`. */
export function sizeText(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  const [value, unit] =
    bytes < 1024 ** 2
      ? [bytes / 1024, 'KiB']
      : bytes < 1024 ** 3
        ? [bytes / 1024 ** 2, 'MiB']
        : [bytes / 1024 ** 3, 'GiB'];
  return `${value.toFixed(1)} ${unit}`;
}
