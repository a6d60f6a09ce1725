import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runCommandLine } from '../../cli/command-line.js';
import { runCli } from '../support/cli.js';

/** Wrong command lines: exit 2, one line on stderr that names what is wrong, nothing on stdout. */
const WRONG: readonly (readonly [line: string, message: RegExp, env?: Readonly<Record<string, string>>])[] = [
  ['prodcue -n /a', /^error: unknown command "prodcue"; did you mean produce\?/],
  ['3000', /^error: unknown command "3000"/],
  ['-H localhost', /^error: unknown option '-H'/],
  ['-p 65536 produce -n /a', /^error: option '-p, --port <port>': "65536"/],
  ['produce -n /a -p 0', /^error: option '-p, --port <port>': "0"/],
  ['produce', /^error: option '-n, --namespace <namespace>': it is missing/],
  ['produce -n /$x', /^error: option '-n, --namespace <namespace>'.*system/],
  ['produce -n /a -P 4.', /^error: option '-P, --parent <id>'.*"4\."/],
  ['produce -n /a --nonsense', /^error: unknown option '--nonsense' \(flotilla produce --help lists them\)/],
  ['cluster status --nonsense', /^error: unknown option '--nonsense' \(flotilla cluster status --help lists them\)/],
  ['produce -n /a --stdin -d x', /^error: option '-d, --data <text>'.*--stdin/],
  ['produce -n', /^error: option '-n, --namespace <namespace>' argument missing/],
  ['produce -n /a extra', /^error: too many arguments/],
  ['produce -n /a -H a:b', /^error: option '-H, --host <host>': host "a:b"/],
  ['produce -n /a --stream x/y', /^error: option '--stream <name>'/],
  ['consume -n /foo**', /^error: option '-n, --namespace <glob>'.*character 5/],
  ['consume -s 7654', /^error: option '-s, --start-after <id>'/],
  ['consume -l -1', /^error: option '-l, --limit <number>'/],
  ['consume -g workers', /^error: option '-g, --group <name>': this version does not support it yet/],
  ['consume --since yesterday', /^error: option '--since <time>': "yesterday" is neither/],
  ['consume --until -5m', /^error: option '--until <time>': "-5m" is neither/],
  ['consume --since 2026-02-30', /^error: option '--since <time>': "2026-02-30" is neither/],
  ['consume --start-at 7654', /^error: option '--start-at <id>'/],
  ['consume --end-at .4', /^error: option '--end-at <id>'/],
  ['consume --last -1', /^error: option '--last <number>'/],
  ['consume -s 1.1 --start-at 1.1', /^error: option '--start-at <id>': give either/],
  ['consume --end-before 1.1 --end-at 1.1', /^error: option '--end-at <id>': give either/],
  ['consume -t --until 5m', /^error: option '--until <time>': a tail has no end/],
  ['consume -t --end-before 1.1', /^error: option '--end-before <id>': a tail has no end/],
  ['consume -t --backwards', /^error: option '--backwards': a tail goes forward/],
  ['consume --backwards --last 3', /^error: option '--last <number>': --backwards/],
  ['consume --from-now', /^error: option '--from-now': it goes with --tail/],
  ['get', /^error: missing required argument 'id'/],
  ['get 1.1 7654', /^error: argument <id>: .*"7654"/],
  ['-d /data produce -n /a', /^error: option '-d' stands before 'produce'/],
  ['cluster statsu', /^error: unknown command 'statsu' \(Did you mean status\?\)/],
  ['sim --seeds 3..1', /^error: option '--seeds <a\.\.b>': "3\.\.1"/],
  ['sim --seed 1 --seeds 1..2', /^error: option '--seeds <a\.\.b>': give either/],
  ['sim --steps 0', /^error: option '--steps <n>': "0"/],
  ['consume', /^error: FLOTILLA_CLIENT_TAIL: "perhaps"/, { FLOTILLA_CLIENT_TAIL: 'perhaps' }],
  ['consume', /^error: FLOTILLA_CLIENT_LIMIT: "x"/, { FLOTILLA_CLIENT_LIMIT: 'x' }],
];

/** Runs a command line that ends before it starts anything, in this process. */
async function runHere(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<{ code: number; stderr: string }> {
  let stderr = '';
  const { write } = process.stderr;
  process.stderr.write = (chunk: string | Uint8Array) => {
    stderr += String(chunk);
    return true;
  };
  Object.assign(process.env, env);
  try {
    return { code: await runCommandLine(args), stderr };
  } finally {
    process.stderr.write = write;
    for (const name of Object.keys(env)) Reflect.deleteProperty(process.env, name);
  }
}

test('a wrong command line is exit 2 and one line that names the option', async () => {
  for (const [line, message, env = {}] of WRONG) {
    const { code, stderr } = await runHere(line.split(' '), env);
    assert.match(stderr, message, line);
    assert.equal(stderr.split('\n').length, 2, `${line}: ${stderr}`);
    assert.equal(code, 2, line);
  }
});

test('-V and --help are there everywhere, on stdout, with examples', async () => {
  const lines = ['-V', 'cluster status -V', '-p 1 --help', 'produce -h', 'help consume', 'serve --help'];
  const results = await Promise.all(lines.map((line) => runCli(line.split(' '))));
  for (const result of results) assert.deepEqual([result.code, result.stderr], [0, '']);
  const [version, statusVersion, help, produceHelp, consumeHelp, serveHelp] = results.map((result) => result.stdout);
  assert.match(version ?? '', /^\d+\.\d+\.\d+\n$/);
  assert.equal(statusVersion, version);
  assert.match(help ?? '', /produce.*consume.*cluster.*--peer-addr/s);
  assert.match(produceHelp ?? '', /--ndjson.*FLOTILLA_CLIENT_.*Examples:\n/s);
  assert.match(consumeHelp ?? '', /--start-after.*Examples:\n/s);
  assert.match(serveHelp ?? '', /--actor-id/);
});

test('where no node can be reached it is exit 3 and says so', async () => {
  const lines = ['-p 1 produce -n /a', '-H 127.0.0.1:1 consume', 'cluster status -p 1'];
  const results = await Promise.all(lines.map((line) => runCli(line.split(' '))));
  for (const result of results) {
    assert.equal(result.code, 3);
    assert.match(
      result.stderr,
      /^error: no node can be reached at (localhost|127\.0\.0\.1):1; is one running there\? .*\(UNREACHABLE\)\n$/,
    );
  }
});
