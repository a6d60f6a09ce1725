/** docs/errors.md is written from the table in src/base/errors.ts: `--write` writes it, a test compares. */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ERRORS } from '../src/base/index.js';

export const ERROR_DOCS = fileURLToPath(new URL('../docs/errors.md', import.meta.url));

const INTRODUCTION = `# Error codes

Every failure that leaves a node or a client carries one of these codes: over gRPC in the trailer \`flotilla-code\`,
in the TypeScript client as \`error.code\` of the one class \`FlotillaError\`, on the command line in the message.
Codes are a contract: programs may compare them, and one changes its meaning only with a breaking-change entry in the
changelog. Messages are for people and may change.

*Retryable* means that the same call may succeed later **and** certainly had no effect now. With *reads* the failure
leaves open whether the call had its effect: a read may be made again, at another node, and a batch with a stamp
([producing](producing.md)). \`UNAVAILABLE\` without one of our codes is the transport's: what became of the call is
unknown. *Exit* is the exit code of the command line; 2, a wrong command line, has no code here.

This page is made from \`src/base/errors.ts\` by \`npm run fix\`.
`;

export function errorDocs(): string {
  const rows = Object.entries(ERRORS).map(
    ([code, row]) =>
      `| \`${code}\` | ${row.grpc} | ${row.http} | ${row.exit} | ${retryableText(row)} | ${row.meaning} |`,
  );
  return `${INTRODUCTION}
| code | gRPC | HTTP | exit | retryable | meaning |
|---|---|---|---|---|---|
${rows.join('\n')}
`;
}

function retryableText(row: (typeof ERRORS)[keyof typeof ERRORS]): string {
  if (row.retryable) return 'yes';
  return 'uncertain' in row ? 'reads' : 'no';
}

if (process.argv.includes('--write')) writeFileSync(ERROR_DOCS, errorDocs());
