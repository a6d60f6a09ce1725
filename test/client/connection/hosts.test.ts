import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FlotillaError, LIMITS } from '../../../src/base/index.js';
import { Hosts, parseHost } from '../../../src/client/connection/hosts.js';

test('a host is HOST, HOST:PORT, [IPV6] or [IPV6]:PORT', () => {
  assert.equal(parseHost('localhost'), 'localhost:3000');
  assert.equal(parseHost(' node-1.example.org:3001 '), 'node-1.example.org:3001');
  assert.equal(parseHost('127.0.0.1', 4000), '127.0.0.1:4000');
  assert.equal(parseHost('[::1]'), '[::1]:3000');
  assert.equal(parseHost('[::1]:65535'), '[::1]:65535');
});

test('what is no host is refused, and the message quotes it', () => {
  for (const text of [
    '',
    ' ',
    ':3000',
    'a:',
    'a:0',
    'a:65536',
    'a:b',
    'a:1:2',
    '::1',
    '[::1',
    '[]:1',
    'a b:1',
    'a/b',
    'http://a:1',
    'a:3000x',
    'a:-1',
  ]) {
    assert.throws(
      () => parseHost(text),
      (error) =>
        error instanceof FlotillaError &&
        error.code === 'INVALID_ARGUMENT' &&
        error.message.includes(JSON.stringify(text)),
      text,
    );
  }
});

test('hosts go round, and a failure that was already acted on does not skip one', () => {
  const hosts = new Hosts('a,b:1,a');
  assert.deepEqual(hosts.all, ['a:3000', 'b:1']);
  hosts.failed('a:3000');
  hosts.failed('a:3000');
  assert.equal(hosts.preferred, 'b:1');
  hosts.failed('b:1');
  assert.equal(hosts.preferred, 'a:3000');
  assert.equal(hosts.after('b:1'), 'a:3000');
});

test('members are learned once and up to a bound', () => {
  const hosts = new Hosts(['a']);
  hosts.learn('b:2');
  hosts.learn('b:2');
  hosts.learn('');
  assert.deepEqual(hosts.all, ['a:3000', 'b:2']);
  hosts.prefer('c:3');
  assert.equal(hosts.preferred, 'c:3');
  for (let port = 1; port < 200; port++) hosts.learn(`d:${port}`);
  assert.equal(hosts.all.length, LIMITS.clientHosts);
});
