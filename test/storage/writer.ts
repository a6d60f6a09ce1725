/**
 * Writes until it is killed or its disk is full; crash.test.ts starts it. It
 * says on stdout what it is about to truncate (`t KEEP`) and what was
 * acknowledged (`a INDEX CHECKSUM`), each line before or after the fact, so
 * that the reader never takes for acknowledged what was not.
 */
import { writeSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { logIndex, seededRandom } from '../../src/base/index.js';
import { append, GROUP, openNode, RecordChain } from './fixture.js';

const [dataDir = '', seed = '1', truncating = 'yes', segmentBytes = String(16 * 1024)] = process.argv.slice(2);
const random = seededRandom(Number(seed));
const node = await openNode(undefined, dataDir, Number(segmentBytes));
const log = node.storage.group(GROUP);
const chain = new RecordChain(log.recovered.tail);
const firstTerm = log.recovered.hardState.term + 1;
let committed = log.recovered.tail.index;

function tell(line: string): void {
  writeSync(1, `${line}\n`);
}

async function write(truncateTo: number | undefined): Promise<void> {
  if (truncateTo !== undefined) {
    tell(`t ${truncateTo}`);
    chain.truncate(truncateTo);
  }
  const term = truncateTo === undefined ? Math.max(firstTerm, chain.tail.term) : chain.tail.term + 1;
  const records = chain.addMany(1 + Math.floor(random() * 3), {
    term: Math.max(term, lastTerm),
    bytes: Math.floor(random() * 3000),
  });
  lastTerm = records.at(-1)?.term ?? lastTerm;
  await node.storage.persist(append(records, truncateTo));
  for (const { index, checksum } of records) tell(`a ${index} ${checksum}`);
}

let lastTerm: number = firstTerm;
tell('ready');
for (;;) {
  try {
    if (truncating === 'yes' && random() < 0.1 && chain.tail.index > committed + 10)
      await write(chain.tail.index - Math.floor(random() * 9));
    else await Promise.all([write(undefined), write(undefined), write(undefined)]);
  } catch (error) {
    tell(`f ${node.failures.length} ${String(error)}`);
    process.exit(0);
  }
  if (random() < 0.1) {
    committed = logIndex(Math.max(committed, chain.tail.index - 30));
    log.noteCommitted(committed);
    // Lets the reader of stdout keep up.
    await setTimeout(0);
  }
}
