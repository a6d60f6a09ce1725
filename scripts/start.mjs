/**
 * `npm start`: makes the checkout ready, then starts the three-node example. One process, so that a signal to npm
 * reaches it.
 */
import { setup } from './setup.mjs';

try {
  await setup();
  const { main } = await import('../cluster-examples/three-nodes/start.mjs');
  await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`error: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
