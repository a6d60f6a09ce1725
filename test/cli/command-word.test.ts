import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findCommandWord, type KnownOption, similarName } from '../../cli/command-word.js';

const OPTIONS: KnownOption[] = [
  { short: '-H', long: '--host', takesValue: true },
  { short: '-p', long: '--port', takesValue: true },
  { long: '--stream', takesValue: true },
  { short: '-v', long: '--verbose', takesValue: false },
];

const find = (line: string): ReturnType<typeof findCommandWord> =>
  findCommandWord(line === '' ? [] : line.split(' '), OPTIONS);

test('the command word is the first that is neither an option nor its value', () => {
  for (const line of [
    'produce',
    '-H localhost -p 3000 produce',
    '--host=produce produce',
    '-pproduce produce',
    '-vp 1 produce',
    '-v produce',
    '--port produce produce',
  ]) {
    assert.equal(find(`${line} -n /a`).word, 'produce', line);
    assert.deepEqual(find(`${line} -n /a`).after, ['-n', '/a'], line);
  }
  assert.deepEqual(find('-H localhost -p 3000 produce -n /a').before, ['-H', 'localhost', '-p', '3000']);
  assert.equal(find('-p 3000 -- produce').word, 'produce');
});

test('only options is no command word: a server', () => {
  for (const line of ['', '-p 3001', '-v', '--stream produce', '-p']) assert.equal(find(line).word, undefined, line);
});

test('behind an unknown option nothing is guessed', () => {
  assert.deepEqual(find('-d produce').unknown, '-d');
  assert.equal(find('-vd produce').unknown, '-vd');
  assert.equal(find('-p 1 --data-dir produce').unknown, '--data-dir');
  assert.equal(find('-d produce').word, undefined);
});

test('a name that is near is proposed, another is not', () => {
  const names = ['serve', 'produce', 'consume', 'cluster', 'help'];
  assert.equal(similarName('prodcue', names), 'produce');
  assert.equal(similarName('Consume', names), 'consume');
  assert.equal(similarName('server', names), 'serve');
  assert.equal(similarName('clutser', names), 'cluster');
  assert.equal(similarName('3000', names), undefined);
  assert.equal(similarName('x'.repeat(100_000), names), undefined);
});
