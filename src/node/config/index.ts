import type { ConfigInput, Resolution } from './server-config.js';

export { type Address, formatAddress, parseAddress } from './addresses.js';
export { environmentName, OPTION_NAMES, type OptionName, optionOf, type ServerOption } from './options.js';
export type { ConfigInput, Resolution, ServerConfig } from './server-config.js';
export type { Environment, Flags } from './sources.js';

/**
 * Settings of a node from the command line, the environment and the
 * configuration file; for each option the first of them that has it holds.
 */
export async function resolveConfig(input: ConfigInput): Promise<Resolution> {
  // The schema's packages take longer to load than a whole client command, which needs only the table.
  const { resolveSettings } = await import('./resolve.js');
  return resolveSettings(input);
}
