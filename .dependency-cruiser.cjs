/**
 * The house's floors, top to bottom. A module imports from floors below its own,
 * never from above or beside it: where two folders of one floor need each other,
 * the interface belongs further down.
 */
const FLOORS = [
  'cli',
  'src/node',
  'src/offline',
  'src/grpc',
  'src/http',
  'src/service',
  'src/client',
  'src/sim',
  'src/peer',
  'src/storage',
  'src/telemetry',
  'src/stream',
  'src/cluster',
  'src/group',
  'src/rpc',
  'src/wire',
  'src/machine',
  'src/raft',
  'src/event',
  'src/base',
];

/** Folders on the same floor: neither imports the other. */
const NEIGHBOURS = [
  ['src/grpc', 'src/http'],
  ['src/service', 'src/client'],
  ['src/peer', 'src/storage', 'src/telemetry'],
  ['src/stream', 'src/cluster'],
];

/** Below this line code decides and never waits; above it code waits and never decides. */
const PURE = '^src/(base|event|raft|machine)/';

/** Each third-party package, and the one folder that may name it. */
const OWNERS = {
  '@grpc/grpc-js': 'src/rpc',
  '@grpc/proto-loader': 'src/rpc',
  '@grpc/reflection': 'src/rpc',
  'grpc-health-check': 'src/rpc',
  'classic-level': 'src/storage',
  '@node-rs/crc32': 'src/storage',
  snappyjs: 'src/storage',
  msgpackr: 'src/wire',
  '@bufbuild/protobuf': 'src/wire',
  pino: 'src/telemetry',
  'pino-pretty': 'src/telemetry',
  'prom-client': 'src/telemetry',
  yaml: 'src/node',
  valibot: 'src/node',
  commander: 'cli',
};

/** Where types still refer to each other across modules; meant to be empty. */
const TYPE_CYCLES = '^src/(replica/(namespace-tally|read-turns|ports)|storage/(glob-search|segmented-log))\\.ts$';

const PRODUCTION = '^(src|cli)/';

const upward = FLOORS.slice(1).map((floor, position) => {
  const above = FLOORS.slice(0, position + 1).join('|');
  return {
    name: `no-upward-import-from-${floor.replace('/', '-')}`,
    comment: `${floor} imports only floors below it`,
    severity: 'error',
    from: { path: `^${floor}/` },
    to: { path: `^(${above})/` },
  };
});

const sideways = NEIGHBOURS.flatMap((floor) =>
  floor.map((folder) => ({
    name: `no-sideways-import-from-${folder.replace('/', '-')}`,
    comment: 'folders of one floor do not know each other; they meet in src/node',
    severity: 'error',
    from: { path: `^${folder}/` },
    to: { path: `^(${floor.filter((other) => other !== folder).join('|')})/` },
  })),
);

const owners = Object.entries(OWNERS).map(([name, folder]) => ({
  name: `only-${folder.replace('/', '-')}-names-${name.replace(/[^a-z-]/g, '-')}`,
  comment: `${name} is named in ${folder} and nowhere else`,
  severity: 'error',
  from: { path: PRODUCTION, pathNot: `^${folder}/` },
  to: { path: `(^|/)node_modules/${name}/` },
}));

module.exports = {
  forbidden: [
    ...upward,
    ...sideways,
    ...owners,
    {
      name: 'owned-packages-only',
      comment: 'a third-party package needs an owner in OWNERS before it is imported',
      severity: 'error',
      from: { path: PRODUCTION },
      to: { path: 'node_modules/', pathNot: `node_modules/(${Object.keys(OWNERS).join('|')}|@types/node)/` },
    },
    {
      name: 'only-tools-load-offline',
      comment: 'tools on stopped nodes are loaded by the commands that need them, never by a server',
      severity: 'error',
      from: { path: '^(src/(?!offline/)|cli/serve)' },
      to: { path: '^src/offline/', reachable: true },
    },
    {
      name: 'enter-through-index',
      comment:
        'a folder of src is entered through its index.ts, or one that has an index.ts of its own; the ' +
        'generated code by file',
      severity: 'error',
      from: { path: '^(?:src/([^/]+)|cli)/' },
      to: { path: '^src/[^/]+/.+', pathNot: ['^src/$1/', '/index\\.ts$', '^src/wire/gen/'] },
    },
    {
      name: 'storage-knows-no-machine',
      comment: 'the storage is given the kinds of state machine that its groups run, and knows none',
      severity: 'error',
      from: { path: '^src/storage/' },
      to: { path: '^src/machine/' },
    },
    {
      name: 'enter-storage-folders-through-index',
      comment: 'a folder of src/storage is entered through its index.ts by the others',
      severity: 'error',
      from: { path: '^src/storage/([^/]+)' },
      to: { path: '^src/storage/[^/]+/.+', pathNot: ['^src/storage/$1/', '/index\\.ts$'] },
    },
    {
      name: 'pure-imports-pure',
      comment: 'base, event, raft and machine import nothing but each other: no node: module, no package',
      severity: 'error',
      from: { path: PURE },
      to: { pathNot: PURE },
    },
    {
      name: 'client-imports',
      comment: 'src/client is what users bundle: rpc, wire, event and base only',
      severity: 'error',
      from: { path: '^src/client/' },
      to: { path: '^src/', pathNot: '^src/(client|rpc|wire|event|base)/' },
    },
    {
      name: 'service-without-transport',
      comment: 'use cases know neither gRPC nor HTTP: doors bring them in',
      severity: 'error',
      from: { path: '^src/service/' },
      to: { path: ['^src/rpc/', '^src/wire/gen/', '^(node:)?(http|http2|net)$'] },
    },
    {
      name: 'no-test-code-in-production',
      severity: 'error',
      from: { path: PRODUCTION },
      to: { path: '^(test|bench|scripts|cluster-examples)/' },
    },
    {
      name: 'no-development-dependency-in-production',
      severity: 'error',
      from: { path: PRODUCTION },
      to: { dependencyTypes: ['npm-dev'], pathNot: 'node_modules/@types/' },
    },
    {
      name: 'no-undeclared-package',
      comment: 'what is imported stands in package.json: another package bringing it along is luck',
      severity: 'error',
      from: { path: PRODUCTION },
      to: { dependencyTypes: ['npm-no-pkg', 'npm-unknown'] },
    },
    {
      name: 'no-circular-import',
      comment: 'modules that need each other are one module, or need a third that holds what they share; types too',
      severity: 'error',
      from: { pathNot: TYPE_CYCLES },
      to: { circular: true },
    },
    {
      name: 'no-circular-import-at-run-time',
      severity: 'error',
      from: { path: TYPE_CYCLES },
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'group-stands-alone',
      comment: 'src/group drives whatever runs on a Raft group: neither it nor its tests know what a stream is',
      severity: 'error',
      from: { path: '^(src|test)/group/' },
      to: { path: '^src/(stream|cluster|machine/stream|machine/cluster)/', reachable: true },
    },
    { name: 'no-unresolvable-import', severity: 'error', from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^(dist|\\.setup)/' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'require', 'node', 'default', 'types'],
    },
  },
};
