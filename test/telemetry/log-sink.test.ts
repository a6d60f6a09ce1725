import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { LIMITS } from '../../src/base/index.js';
import { LogSink } from '../../src/telemetry/log-sink.js';

const directory = mkdtempSync(join(tmpdir(), 'flotilla-sink-'));
after(() => rmSync(directory, { recursive: true, force: true }));

/** A pipe whose reader reads only when told to. The writing end blocks, as a shell's does. */
function pipe() {
  const path = join(directory, `pipe-${Math.random()}`);
  execFileSync('mkfifo', [path]);
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const writer = openSync(path, constants.O_WRONLY);
  return {
    writer,
    read: () => {
      const buffer = Buffer.alloc(1 << 20);
      try {
        return buffer.toString('utf8', 0, readSync(reader, buffer));
      } catch (error) {
        if (error instanceof Error && 'code' in error && error.code === 'EAGAIN') return '';
        throw error;
      }
    },
    closeReader: () => closeSync(reader),
  };
}

const line = (index: number): string => `${String(index).padStart(1023, '.')}\n`;

describe('log sink', () => {
  it('a stalled reader holds up nobody: lines wait, beyond the bound they are dropped and counted', () => {
    const { writer, read } = pipe();
    let dropped = 0;
    const sink = new LogSink(writer, () => dropped++);
    const lines = LIMITS.logBufferBytes / 1024 + 1000;
    const startMs = performance.now();
    for (let index = 0; index < lines; index++) sink.write(line(index));
    assert.ok(performance.now() - startMs < 5000);
    assert.ok(dropped > 0 && dropped < 1000, `${dropped} dropped`);

    let text = '';
    for (let part = read(); part !== ''; part = read()) {
      text += part;
      sink.flushSync();
    }
    const kept = text.split('\n').slice(0, -1);
    assert.equal(kept.length + dropped, lines);
    assert.deepEqual(
      kept,
      kept.map((_, index) => line(index).slice(0, -1)),
    );
  });

  it('lines that waited are written by themselves when the reader goes on', async () => {
    const { writer, read } = pipe();
    const sink = new LogSink(writer);
    for (let index = 0; index < 200; index++) sink.write(line(index));
    let text = '';
    while (text.length < 200 * 1024) {
      text += read();
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    assert.equal(text.split('\n').at(-2), line(199).slice(0, -1));
  });

  it('flush ends in time where the reader stays away', async () => {
    const { writer } = pipe();
    const sink = new LogSink(writer);
    for (let index = 0; index < 200; index++) sink.write(line(index));
    const startMs = performance.now();
    await sink.flush();
    const tookMs = performance.now() - startMs;
    assert.ok(tookMs >= LIMITS.logFlushMs / 2 && tookMs < LIMITS.logFlushMs * 5, `${tookMs} ms`);
  });

  it('a reader that has gone costs its lines and nothing else', () => {
    const { writer, closeReader } = pipe();
    let dropped = 0;
    const sink = new LogSink(writer, () => dropped++);
    closeReader();
    sink.write('one\n');
    sink.write('two\n');
    assert.equal(dropped, 2);
  });
});
