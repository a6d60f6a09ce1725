import assert from 'node:assert/strict';
import { readFileSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import * as v from 'valibot';
import { callbacksIntoDecisions, impurities } from './pure-rules.js';
import { COLLABORATORS, LATE_FIELDS } from './ratchets.js';
import {
  type Finding,
  foldersWithoutEntry,
  joinedTitles,
  longFiles,
  postponedWork,
  shellSyntax,
  tracesOfWorkplace,
  unrunTests,
  vagueNames,
  wideLines,
} from './tidy-rules.js';
import { collaborators, lateFields, programOf } from './wiring-rules.js';

const ROOT = resolve(fileURLToPath(new URL('../..', import.meta.url)));
const versions = v.record(v.string(), v.string());
const manifest = v.parse(
  v.object({ scripts: versions, dependencies: versions, devDependencies: versions, overrides: versions }),
  JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')),
);
const lockfileText = readFileSync(join(ROOT, 'package-lock.json'), 'utf8');
const lockfile = v.parse(
  v.object({
    packages: v.record(
      v.string(),
      v.object({
        version: v.optional(v.string()),
        dependencies: v.optional(versions),
        devDependencies: v.optional(versions),
        optionalDependencies: v.optional(versions),
      }),
    ),
  }),
  JSON.parse(lockfileText),
);

/** Below these are known remote crashes: in grpc-js CVE-2026-48068 and -48069, in protobufjs on malformed input. */
const FLOORS = { '@grpc/grpc-js': '1.14.4', protobufjs: '7.6.1' };

const none = (findings: readonly Finding[]): void => assert.deepEqual(findings, []);

test('no file holds two ideas', () => none(longFiles(ROOT)));
test('no line is wider than a screen', () => none(wideLines(ROOT)));
test('no file or folder is named for nothing', () => none(vagueNames(ROOT)));
test('every folder of src has its index.ts', () => none(foldersWithoutEntry(ROOT)));
test('every test runs', () => none(unrunTests(ROOT)));
test('the title of every test is a sentence', () => none(joinedTitles(ROOT)));
test('no work is postponed in a comment, no compiler error silenced', () => none(postponedWork(ROOT)));
test('no file names the machine it was written on', () => none(tracesOfWorkplace(ROOT)));
test('pure folders know no clock, no entropy, no waiting, no process', () => none(impurities(ROOT)));
test('pure folders pull nothing from outside while they decide', () => none(callbacksIntoDecisions(ROOT)));

test('no class is given more than it can be about, or hands out functions before what they need is there', () => {
  const program = programOf(ROOT);
  none([...collaborators(ROOT, program, COLLABORATORS), ...lateFields(ROOT, program, LATE_FIELDS)]);
});

test('npm scripts use no shell syntax beyond &&', () => none(shellSyntax(manifest.scripts)));

test('dependencies are pinned exactly', () => {
  const all = Object.entries({ ...manifest.dependencies, ...manifest.devDependencies, ...manifest.overrides });
  none(all.filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(version)).map(([name, version]) => `${name} ${version}`));
});

test('the lockfile belongs to package.json', () => {
  assert.deepEqual(lockfile.packages['']?.dependencies, manifest.dependencies);
  assert.deepEqual(lockfile.packages['']?.devDependencies, manifest.devDependencies);
});

test('the lockfile has an entry for every platform, or npm ci refuses it', () => {
  // Where this fails, `node scripts/complete-lockfile.mjs` adds them.
  const listed = Object.entries(lockfile.packages).flatMap(([path, { optionalDependencies = {} }]) =>
    Object.keys(optionalDependencies).map((name) => [`node_modules/${name}`, `${path}/node_modules/${name}`] as const),
  );
  assert.ok(listed.length > 0);
  none(
    listed.filter((places) => !places.some((place) => Object.hasOwn(lockfile.packages, place))).map(([place]) => place),
  );
});

test('the lockfile names no registry', () => assert.ok(!lockfileText.includes('"resolved"')));

for (const [name, floor] of Object.entries(FLOORS)) {
  test(`every ${name} in the lockfile is at least ${floor}`, () => {
    const found = Object.entries(lockfile.packages).filter(([path]) => path.endsWith(`node_modules/${name}`));
    assert.ok(found.length > 0, `${name} is not in the lockfile: is its floor still needed?`);
    none(
      found
        .filter(([, entry]) => isBelow(entry.version ?? '0', floor))
        .map(([path, entry]) => `${path} ${entry.version}`),
    );
  });
}

test('what is started directly is executable', () => {
  for (const path of ['.ci/run'])
    assert.ok((statSync(join(ROOT, path)).mode & 0o111) !== 0, `${path} is not executable`);
});

function isBelow(version: string, floor: string): boolean {
  const [one, other] = [version, floor].map((text) => text.split(/[.-]/).slice(0, 3).map(Number));
  for (let part = 0; part < 3; part++) {
    const difference = (one?.[part] ?? 0) - (other?.[part] ?? 0);
    if (difference !== 0) return difference < 0;
  }
  return false;
}
