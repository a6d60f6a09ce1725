import assert from 'node:assert/strict';
import { test } from 'node:test';
import { actorId } from '../../src/base/index.js';
import { AddressBook } from '../../src/peer/address-book.js';

const INSTANCE = '2'.repeat(32);
const at = (address: string, instance = INSTANCE) => ({ actor: actorId(2), instance, address });

test("a node's own word comes first, then the membership, then the latest hearsay", () => {
  const book = new AddressBook();
  book.know(at('known:1'));
  assert.deepEqual(book.addressesOf(INSTANCE), ['known:1']);
  assert.ok(book.hearOf(at('hearsay:1')));
  assert.ok(book.hearOf(at('hearsay:2')));
  assert.ok(book.hear(at('heard:1')));
  assert.deepEqual(book.addressesOf(INSTANCE), ['heard:1', 'known:1', 'hearsay:2', 'hearsay:1']);
});

test('what is known already is no news', () => {
  const book = new AddressBook();
  book.know(at('known:1'));
  assert.equal(book.hear(at('known:1')), false);
  assert.equal(book.hearOf(at('known:1')), false);
  assert.ok(book.hear(at('heard:1')));
  assert.equal(book.hear(at('heard:1')), false);
  assert.ok(book.hear(at('known:1')), 'it has come back');
  assert.deepEqual(book.addressesOf(INSTANCE), ['known:1']);
});

test('a membership that is behind does not hide what the node says', () => {
  const book = new AddressBook();
  book.know(at('first:1'));
  book.hear(at('third:1'));
  book.know(at('second:1'));
  assert.deepEqual(book.addressesOf(INSTANCE), ['third:1', 'second:1']);
});

test('nothing is kept of a node that is no peer, and hearsay is bounded', () => {
  const book = new AddressBook();
  assert.equal(book.hear(at('x:1')), false);
  book.know(at('known:1'));
  for (let n = 0; n < 100; n++) book.hearOf(at(`hearsay:${n}`));
  assert.equal(book.addressesOf(INSTANCE).length, 5);
  book.retain(new Set());
  assert.deepEqual(book.addressesOf(INSTANCE), []);
});
