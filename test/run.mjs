/**
 * Runs the tests: `node test/run.mjs [all | fast | long | unit | PATH …]`, where a
 * path is a test file or a folder of them; `--list` before it names them instead.
 * `fast` and `long` are `npm test` and `npm run test:long`: each file is in one of
 * them (sets.mjs).
 *
 * Files run side by side, except for the long simulation, which takes all
 * processors, and those of test/cluster: they start real nodes and measure real
 * time, so each has the machine to itself, at the end; but those that mostly
 * wait go three at a time. A file has a process of its own; in a set the quick
 * ones of a folder share one, and so do its slow ones, and those of test/cluster
 * that go alone, because loading what they test takes longer than most of them.
 * Ends with 1 where a test failed, where a file holds none, and where there is
 * nothing to run: a test that silently does not run is worse than none.
 */

import { setMaxListeners } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { Readable } from 'node:stream';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { onParentGone } from '../scripts/parent.mjs';
import { BUSY, LONG, PATIENT, SLOW } from './sets.mjs';

const ROOT = resolve(fileURLToPath(new URL('..', import.meta.url)));
const FILE_TIMEOUT_MS = 10 * 60_000;
const SETS = {
  all: () => true,
  fast: (file) => !LONG.includes(file),
  long: (file) => LONG.includes(file),
  unit: isQuick,
};
const SIGNAL_NUMBERS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 };

const invokedFrom = process.cwd();
process.chdir(ROOT);
// Settings of the user's own cluster, and of a test run around this one, are not the tests' business.
for (const name of Object.keys(process.env)) {
  if (name.startsWith('FLOTILLA_') || name === 'NODE_TEST_CONTEXT') Reflect.deleteProperty(process.env, name);
}
const { run } = await import('node:test');
const { spec: Spec } = await import('node:test/reporters');

// Node 20 hands its own execArgv on to the files; later ones take the option of the same name.
const execArgv = ['--import', import.meta.resolve('tsx')];
process.execArgv.push(...execArgv);

const stop = new AbortController();
// Each file under way listens.
setMaxListeners(0, stop.signal);
stopWithParent();
await main(process.argv.slice(2));

async function main([first, ...rest]) {
  const isList = first === '--list';
  const args = isList || first === undefined ? rest : [first, ...rest];
  const files = chosen(args);
  if (isList) return process.stdout.write(files.map((file) => `${file}\n`).join(''));
  if (files.length === 0) return fail(`no test file found${args.length > 0 ? ` for ${args.join(' ')}` : ''}`);
  const folder = mkdtempSync(join(tmpdir(), 'flotilla-tests-'));
  try {
    await runAll(files, isSelection(args), folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Where they are `gathered`, the files of a folder share processes; `folder` takes the files that gather them. */
async function runAll(files, gathered, folder) {
  const patient = PATIENT.filter((file) => files.includes(file));
  const alone = files.filter((file) => file.startsWith('test/cluster/') && !PATIENT.includes(file));
  const busy = files.filter((file) => file === BUSY);
  const others = files.filter((file) => !file.startsWith('test/cluster/') && file !== BUSY);
  const slow = others.filter((file) => !isQuick(file));
  const together = gathered
    ? [...gather(folder, 'slow', slow), ...gather(folder, 'quick', others.filter(isQuick))]
    : others;
  const outcome = { passed: 0, failed: 0, empty: [], withTests: new Set() };
  const reporter = new Spec();
  const shown = Readable.from(
    events(
      [
        // One more than there are processors: some always wait for a disk.
        { files: together, concurrency: Math.min(availableParallelism() + 1, 4) },
        { files: busy, concurrency: 1 },
        { files: patient, concurrency: 3 },
        { files: gathered ? gather(folder, 'alone', alone) : alone, concurrency: 1 },
      ],
      outcome,
    ),
  ).compose(reporter);
  for await (const chunk of shown) process.stdout.write(chunk);
  const silent = (gathered ? [...others, ...alone] : []).filter((file) => !outcome.withTests.has(join(ROOT, file)));
  const empty = [...outcome.empty, ...silent];
  if (empty.length > 0 && !stop.signal.aborted) return fail(`no test ran in ${empty.join(', ')}`);
  if (outcome.failed > 0 || stop.signal.aborted) process.exitCode ||= 1;
  if (outcome.passed + outcome.failed === 0) fail('no test ran');
}

/** The events of all phases as one run, with one summary at the end: the sum of theirs. */
async function* events(phases, outcome) {
  const summary = new Map();
  for (const { files, concurrency } of phases) {
    if (files.length === 0 || stop.signal.aborted) continue;
    const options = {
      files: files.map((file) => resolve(ROOT, file)),
      concurrency,
      timeout: FILE_TIMEOUT_MS,
      signal: stop.signal,
      execArgv,
    };
    for await (const event of run(options)) {
      count(event, outcome);
      const figure = summaryFigure(event);
      // The summary of one phase, in the form that later versions of Node add.
      if (event.type === 'test:summary' && event.data.file === undefined) continue;
      if (figure === undefined) yield event;
      else summary.set(figure.name, (summary.get(figure.name) ?? 0) + figure.value);
    }
  }
  for (const [name, value] of summary) {
    yield { type: 'test:diagnostic', data: { nesting: 0, message: `${name} ${value}`, level: 'info' } };
  }
}

function count(event, outcome) {
  if (event.type !== 'test:pass' && event.type !== 'test:fail') return;
  // A file that holds no test is reported as one that passed, under its own name.
  const { name, nesting, file } = event.data;
  const isFile = nesting === 0 && existsSync(resolve(name)) && /\.test\.m?[jt]s$/.test(name);
  if (!isFile) outcome.withTests.add(file);
  if (event.type === 'test:fail') outcome.failed++;
  else if (!isFile) outcome.passed++;
  else if (name.endsWith('.ts')) outcome.empty.push(relative(ROOT, name));
}

function summaryFigure(event) {
  if (event.type !== 'test:diagnostic' || event.data.nesting !== 0) return undefined;
  const found = /^(tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) ([\d.]+)$/.exec(event.data.message);
  return found === null ? undefined : { name: found[1], value: Number(found[2]) };
}

/** Test files, relative to the root, in a fixed order. */
function chosen(args) {
  const all = testFiles('test');
  if (isSelection(args)) return all.filter(SETS[args[0] ?? 'all']);
  const paths = args.map((path) => relative(ROOT, resolve(invokedFrom, path)));
  const unknown = paths.find((path) => !all.some((file) => file === path || file.startsWith(`${path}/`)));
  if (unknown === undefined)
    return all.filter((file) => paths.some((path) => file === path || file.startsWith(`${path}/`)));
  fail(`${unknown} is no test file and holds none: give 'fast', 'long', 'unit', 'all', or paths of test/**/*.test.ts`);
  return [];
}

function isSelection(args) {
  return args.length === 0 || (args.length === 1 && Object.hasOwn(SETS, args[0]));
}

function isQuick(file) {
  return !SLOW.some((slow) => file.startsWith(slow));
}

/**
 * One file for each folder of tests, which imports its files; that with the most files first, so that it is not
 * the last one alone.
 */
function gather(folder, speed, files) {
  const byFolder = new Map();
  for (const file of files) {
    const name = file.split('/').slice(1, -1).join('-');
    byFolder.set(name, [...(byFolder.get(name) ?? []), file]);
  }
  const byLength = [...byFolder].sort(([, a], [, b]) => b.length - a.length);
  return byLength.map(([name, members]) => {
    const path = join(folder, `${speed}-${name}.test.mjs`);
    writeFileSync(path, members.map((file) => `import '${pathToFileURL(join(ROOT, file)).href}';\n`).join(''));
    return path;
  });
}

function testFiles(folder) {
  return readdirSync(folder)
    .sort()
    .flatMap((name) => {
      const path = `${folder}/${name}`;
      if (statSync(path).isDirectory()) return testFiles(path);
      return name.endsWith('.test.ts') ? [path] : [];
    });
}

function fail(message) {
  process.stderr.write(`test: ${message}\n`);
  process.exitCode = 1;
}

/** A signal, or the end of the npm that started us, ends the files under way too. */
function stopWithParent() {
  for (const [signal, number] of Object.entries(SIGNAL_NUMBERS)) {
    process.on(signal, () => {
      if (stop.signal.aborted) process.exit(128 + number);
      process.exitCode = 128 + number;
      stop.abort();
    });
  }
  onParentGone(() => {
    process.exitCode = 143;
    stop.abort();
  });
}
