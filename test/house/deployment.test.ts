import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import * as v from 'valibot';
import { parse } from 'yaml';

const ROOT = resolve(fileURLToPath(new URL('../..', import.meta.url)));
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

const service = v.object({
  image: v.string(),
  command: v.optional(v.array(v.string())),
  ports: v.array(v.string()),
  networks: v.array(v.string()),
  volumes: v.array(v.string()),
});
const compose = v.parse(
  v.object({
    services: v.record(v.string(), service),
    networks: v.record(v.string(), v.unknown()),
    volumes: v.record(v.string(), v.unknown()),
  }),
  parse(read('cluster-examples/docker-compose/compose.yaml'), { merge: true }),
);
const nodes = Object.entries(compose.services).filter(([, { command }]) => command !== undefined);

/** What `flotilla serve` is told, flag by flag. */
function flags(command: readonly string[]): Map<string, string[]> {
  assert.equal(command[0], 'serve');
  const found = new Map<string, string[]>();
  for (let position = 1; position < command.length; ) {
    const flag = command[position] ?? '';
    assert.match(flag, /^--?[a-z]/, `${flag} is no flag`);
    const value = command[position + 1];
    const takesValue = value !== undefined && !value.startsWith('-');
    found.set(flag, [...(found.get(flag) ?? []), ...(takesValue ? [value] : [])]);
    position += takesValue ? 2 : 1;
  }
  return found;
}

function lastStage(): string {
  return (
    read('Dockerfile')
      .split(/^FROM /m)
      .at(-1) ?? ''
  );
}

test('compose: three nodes, each the peer of the two others by the name it advertises', () => {
  assert.equal(nodes.length, 3);
  for (const [name, { command }] of nodes) {
    const given = flags(command ?? []);
    const port = given.get('-p')?.[0];
    assert.deepEqual(given.get('--advertise'), [`${name}:${port}`]);
    const others = nodes.filter(([other]) => other !== name).map(([other]) => `${other}:${port}`);
    assert.deepEqual(given.get('--peer-addr'), others);
    assert.deepEqual([...given.keys()].sort(), [
      '--actor-id',
      '--advertise',
      '--host',
      '--insecure',
      '--peer-addr',
      '-p',
    ]);
  }
  assert.deepEqual(
    nodes.map(([, { command }]) => flags(command ?? []).get('--actor-id')?.[0]),
    ['1', '2', '3'],
  );
});

test('compose: ports are published on 127.0.0.1 only, and once each', () => {
  const published = Object.values(compose.services).flatMap(({ ports }) => ports);
  for (const port of published) assert.match(port, /^127\.0\.0\.1:\d+:\d+$/);
  const outside = published.map((port) => port.split(':')[1]);
  assert.deepEqual(outside, ['3000', '4000', '3001', '4001', '3002', '4002', '9090']);
});

test('compose: every network and named volume is declared, and each node has a volume of its own', () => {
  for (const { networks, volumes } of Object.values(compose.services)) {
    for (const network of networks) assert.ok(Object.hasOwn(compose.networks, network), network);
    for (const volume of volumes) {
      const [source = ''] = volume.split(':');
      const found = source.startsWith('./')
        ? existsSync(join(ROOT, 'cluster-examples/docker-compose', source))
        : Object.hasOwn(compose.volumes, source);
      assert.ok(found, volume);
    }
  }
  assert.deepEqual(
    nodes.map(([, { volumes }]) => volumes),
    nodes.map(([name]) => [`${name}:/data`]),
  );
});

test('prometheus scrapes the HTTP port of every node', () => {
  const target = v.object({
    scrape_configs: v.array(v.object({ static_configs: v.array(v.object({ targets: v.array(v.string()) })) })),
  });
  const { scrape_configs: jobs } = v.parse(target, parse(read('cluster-examples/docker-compose/prometheus.yml')));
  const targets = jobs.flatMap((job) => job.static_configs.flatMap((each) => each.targets));
  assert.deepEqual(
    targets,
    nodes.map(([name]) => `${name}:4000`),
  );
});

test('Dockerfile: what it copies exists and is let through by .dockerignore', () => {
  const allowed = read('.dockerignore').split('\n');
  assert.equal(allowed[0], '*');
  const copied = [...read('Dockerfile').matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, paths = '']) =>
    paths.split(' '),
  );
  assert.ok(copied.length >= 8);
  for (const path of copied) {
    assert.ok(existsSync(join(ROOT, path)), `${path} does not exist`);
    assert.ok(
      allowed.some((line) => line === `!${path}` || path.startsWith(`${line.slice(1)}/`)),
      `${path} is left out by .dockerignore`,
    );
  }
});

test('Dockerfile: what is copied into the image is enough to run the command', async (t) => {
  const image = mkdtempSync(join(tmpdir(), 'flotilla-image-'));
  t.after(() => rmSync(image, { recursive: true }));
  for (const [, from, paths = '', to = ''] of lastStage().matchAll(/^COPY (?:--from=(\S+) )?(.+) (\S+)$/gm)) {
    for (const path of paths.split(' ')) {
      const source = from === undefined ? path : path.replace(/^\/build\//, '');
      const target = join(image, to === './' || to.endsWith('/') ? join(to, basename(source)) : to);
      if (source === 'node_modules') symlinkSync(join(ROOT, source), target);
      else cpSync(join(ROOT, source), target, { recursive: true });
    }
  }
  const { bin } = v.parse(
    v.object({ bin: v.object({ flotilla: v.string() }) }),
    JSON.parse(readFileSync(join(image, 'package.json'), 'utf8')),
  );
  const { stdout } = await promisify(execFile)(process.execPath, [join(image, bin.flotilla), '--version']);
  assert.match(stdout, /^\d+\.\d+\.\d+\n$/);
});

test('Dockerfile: runs as another user than root, with production packages only, and tells whether it lives', () => {
  const last = lastStage();
  assert.match(last, /^USER node$/m);
  assert.match(last, /^HEALTHCHECK [\s\S]*\/livez/m);
  assert.match(last, /COPY --from=packages/);
  assert.match(read('Dockerfile'), /npm ci --omit=dev --ignore-scripts/);
  // A node needs what `USER` may not create: the folder of the volume belongs to it before.
  assert.ok(last.indexOf('chown node:node /data') < last.indexOf('VOLUME /data'));
});
