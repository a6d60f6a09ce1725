import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePointInTime } from '../../cli/points-in-time.js';

const NOW_MS = Date.UTC(2026, 2, 1, 12);

test('a duration counts back from now, a number is UTC milliseconds, else ISO 8601, in UTC without a zone', () => {
  const read: Readonly<Record<string, number>> = {
    '250ms': NOW_MS - 250,
    '90s': NOW_MS - 90_000,
    '15m': NOW_MS - 900_000,
    '2h': NOW_MS - 7_200_000,
    '7d': NOW_MS - 604_800_000,
    '0s': NOW_MS,
    '0': 0,
    '1700000000000': 1_700_000_000_000,
    '2026-02-28': Date.UTC(2026, 1, 28),
    '2024-02-29': Date.UTC(2024, 1, 29),
    '2026-02-28T13:14': Date.UTC(2026, 1, 28, 13, 14),
    '2026-02-28 13:14:15': Date.UTC(2026, 1, 28, 13, 14, 15),
    '2026-02-28T13:14:15.016Z': Date.UTC(2026, 1, 28, 13, 14, 15, 16),
    '2026-02-28t13:14:15z': Date.UTC(2026, 1, 28, 13, 14, 15),
    '2026-02-28T13:14+02:00': Date.UTC(2026, 1, 28, 11, 14),
    // Later than now: nothing is there yet, but a tail may wait for it.
    '2027-01-01': Date.UTC(2027, 0, 1),
  };
  for (const [text, expected] of Object.entries(read)) assert.equal(parsePointInTime(text, NOW_MS), expected, text);
});

test('what is no time is refused, in the words that were typed', () => {
  const wrong = [
    '',
    ' ',
    'now',
    '5x',
    '-5m',
    '1.5h',
    'h',
    '2026-13-01',
    '2026-02-30',
    '2026-02-29',
    '2026-02-28T25:00',
    '28.02.2026',
  ];
  wrong.push(
    '1969-12-31',
    '99999999999999999',
    '9000000000000000',
    '999999999999999d',
    'NaN',
    'Infinity',
    '2026-02-28T13',
    '2026-W09',
  );
  for (const text of wrong) {
    assert.throws(
      () => parsePointInTime(text, NOW_MS),
      (error) => error instanceof Error && error.message.startsWith(JSON.stringify(text)),
      text,
    );
  }
});
