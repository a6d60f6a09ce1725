import { ENVIRONMENT_PREFIX, environmentName, OPTION_NAMES, type OptionName, optionOf } from './options.js';

/** A setting as it was written, and where. */
export interface Written {
  readonly value: unknown;
  /** Names the place for a message: the flag, the variable, or the key and line of the file. */
  readonly source: string;
}

export type Settings = ReadonlyMap<OptionName, Written>;

/** What one source says; `problems` are sentences without an end mark. */
export interface SourceReading {
  readonly settings: Settings;
  readonly problems: readonly string[];
}

/**
 * Values as the command line has them: a word, a list of them where the option is repeatable, `true` for a bare flag.
 */
export type Flags = Readonly<Partial<Record<OptionName, string | readonly string[] | true>>>;

export function settingsOfFlags(flags: Flags): Settings {
  const settings = new Map<OptionName, Written>();
  for (const name of OPTION_NAMES) {
    const value = flags[name];
    if (value !== undefined) settings.set(name, { value, source: `--${name}` });
  }
  return settings;
}

export type Environment = Readonly<Record<string, string | undefined>>;

/** An empty variable counts as none: that is how a compose file or a unit leaves one out. */
export function settingsOfEnvironment(environment: Environment): Settings {
  const settings = new Map<OptionName, Written>();
  for (const name of OPTION_NAMES) {
    const source = environmentName(name);
    const value = environment[source];
    if (value === undefined || value === '') continue;
    settings.set(name, {
      source,
      value: optionOf(name).repeatable ? value.split(',').filter((part) => part.trim() !== '') : value,
    });
  }
  return settings;
}

/** Variables that look like ours and are none, except what Kubernetes sets for a service named flotilla-server. */
export function strayVariables(environment: Environment): string[] {
  const known = new Set(OPTION_NAMES.map(environmentName));
  return Object.keys(environment).filter(
    (name) =>
      name.startsWith(ENVIRONMENT_PREFIX) &&
      !known.has(name) &&
      !/^(SERVICE|PORT)_/.test(name.slice(ENVIRONMENT_PREFIX.length)),
  );
}
