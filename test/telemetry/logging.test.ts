import assert from 'node:assert/strict';
import { closeSync, mkdtempSync, openSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { FlotillaError } from '../../src/base/index.js';
import { createLogging, LOG_MODULES, type LogLevels } from '../../src/telemetry/index.js';

const directory = mkdtempSync(join(tmpdir(), 'flotilla-log-'));
after(() => rmSync(directory, { recursive: true, force: true }));

let files = 0;

function toFile(levels: LogLevels = { default: 'info', modules: {} }) {
  const path = join(directory, `${++files}.log`);
  const logging = createLogging({ levels, actor: 7, destination: { kind: 'file', path } });
  return { path, logging, lines: () => linesOf(path) };
}

/** The keys that these tests look at one by one. */
interface Line {
  readonly time?: unknown;
  readonly level?: unknown;
  readonly module?: unknown;
  readonly msg?: unknown;
  readonly reason?: unknown;
}

function linesOf(path: string): Line[] {
  return readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const parsed: unknown = JSON.parse(line);
      assert.ok(typeof parsed === 'object' && parsed !== null);
      return { ...parsed };
    });
}

describe('logging', () => {
  it('a line is one JSON object with time, level, module, actor, fields and message, written at once', () => {
    const { logging, lines } = toFile();
    logging.logger('raft').info({ term: 3, text: 'two\nlines' }, 'became leader');
    const [line, ...more] = lines();
    assert.equal(more.length, 0);
    assert.match(String(line?.time), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    assert.deepEqual(
      { ...line, time: '' },
      { time: '', level: 'info', actor: 7, module: 'raft', term: 3, text: 'two\nlines', msg: 'became leader' },
    );
  });

  it('a module has its own level, the others the default', () => {
    const { logging, lines } = toFile({ default: 'warn', modules: { raft: 'debug', api: 'silent' } });
    for (const module of LOG_MODULES) {
      logging.logger(module).debug({}, 'debug');
      logging.logger(module).info({}, 'info');
      logging.logger(module).warn({}, 'warn');
      logging.logger(module).error({}, 'error');
    }
    const seen = (module: string) => lines().flatMap((line) => (line.module === module ? [line.level] : []));
    assert.deepEqual(seen('raft'), ['debug', 'info', 'warn', 'error']);
    assert.deepEqual(seen('peer'), ['warn', 'error']);
    assert.deepEqual(seen('api'), []);
  });

  it('an error has its message, its cause and where it came from', () => {
    const { logging, lines } = toFile();
    logging
      .logger('storage')
      .error(
        { error: new FlotillaError('DATA_LOSS', 'record 5 is damaged', { cause: new Error('checksum') }) },
        'read failed',
      );
    const text = JSON.stringify(lines()[0]);
    for (const part of ['record 5 is damaged', 'DATA_LOSS', 'checksum', 'stack']) assert.ok(text.includes(part), part);
  });

  it('a fatal line is written even where the node module logs errors only', () => {
    const { logging, lines } = toFile({ default: 'error', modules: {} });
    logging.fatal({ reason: 'disk' }, 'the node stopped');
    assert.deepEqual([lines()[0]?.level, lines()[0]?.reason], ['fatal', 'disk']);
  });

  it('a file is appended to, is not for everybody, and is opened anew on demand', () => {
    const { path, logging } = toFile();
    logging.logger('node').info({}, 'one');
    createLogging({ levels: { default: 'info', modules: {} }, actor: 8, destination: { kind: 'file', path } })
      .logger('node')
      .info({}, 'two');
    assert.equal(linesOf(path).length, 2);
    assert.equal(statSync(path).mode & 0o007, 0);
    renameSync(path, `${path}.1`);
    logging.reopen();
    logging.logger('node').info({}, 'three');
    assert.deepEqual(
      linesOf(path).map((line) => line.msg),
      ['three'],
    );
  });

  it('a file that cannot be opened is told at once', () => {
    assert.throws(
      () =>
        createLogging({
          levels: { default: 'info', modules: {} },
          actor: 1,
          destination: { kind: 'file', path: join(directory, 'no', 'x.log') },
        }),
      /ENOENT/,
    );
  });

  it('a full disk costs lines, which are counted, and nothing else', () => {
    let dropped = 0;
    const full = openSync('/dev/full', 'w');
    try {
      const destination = { kind: 'descriptor', descriptor: full, readable: false } as const;
      const logging = createLogging({
        levels: { default: 'info', modules: {} },
        actor: 1,
        destination,
        onDrop: () => dropped++,
      });
      logging.logger('node').info({}, 'lost');
      logging.logger('node').info({}, 'lost, too');
    } finally {
      closeSync(full);
    }
    assert.equal(dropped, 2);
  });

  it('is readable where people read it', () => {
    const path = join(directory, 'readable.log');
    const descriptor = openSync(path, 'w');
    const logging = createLogging({
      levels: { default: 'info', modules: {} },
      actor: 1,
      destination: { kind: 'descriptor', descriptor, readable: true },
    });
    logging.logger('raft').info({ term: 3 }, 'became leader');
    closeSync(descriptor);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the colours of a terminal are control sequences.
    const text = readFileSync(path, 'utf8').replaceAll(/\u001b\[\d+m/g, '');
    assert.match(text, /^\[\d\d:\d\d:\d\d\.\d{3}\] INFO: raft: became leader \{"term":3\}\n$/);
  });
});
