/*
 * What breaks a rule of the house and is not mended yet. Each list may shrink and never grow; all are
 * meant to be empty.
 */

/** Files that may be longer than others, with their lines. */
export const LONG_FILES: Readonly<Record<string, number>> = {
  'src/node/node.ts': 443,
  'src/replica/replica.ts': 428,
  'src/storage/segment/segment.ts': 418,
  'test/contract/storage.test.ts': 406,
  'test/event/glob.test.ts': 404,
  'test/node/config.test.ts': 420,
};

/** Where lines may be wider than others: paths begin with these. */
export const WIDE_LINES: readonly string[] = [
  ...['src/api/', 'src/base/', 'src/client/', 'src/event/', 'src/http/', 'src/machine/', 'src/node/', 'src/replica/'],
  ...['src/rpc/', 'src/telemetry/', 'src/wire/', 'cli/', 'cluster-examples/', 'bench/'],
  ...['test/api/', 'test/cli/', 'test/client/', 'test/cluster/', 'test/event/', 'test/http/', 'test/node/'],
  ...['test/package/', 'test/replica/', 'test/rpc/', 'test/telemetry/', 'test/wire/'],
];

/** Classes that are given more collaborators than others, with their number. */
export const COLLABORATORS: Readonly<Record<string, number>> = {
  Proposer: 9,
  Replica: 11,
  Retention: 10,
  Snapshots: 9,
  StreamState: 10,
};

/** Fields that a function reaches into which is handed to a collaborator before they are assigned. */
export const LATE_FIELDS: readonly string[] = ['Replica.snapshots', 'ReplicaHost.clockWatch'];
