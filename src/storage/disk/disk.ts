/**
 * What the log, the hard state and the marker need of a disk. The server's is
 * `nodeDisk`; the simulator has another, which loses and damages what
 * real ones lose and damage.
 *
 * Paths are separated by `/` or as the host does it; nothing here makes
 * parents. Where the operating system refuses, calls reject with its error; the
 * node stops then, because nothing is known of what was written.
 */
export interface Disk {
  /** The whole file; undefined where there is none. */
  readFile(path: string): Promise<Uint8Array | undefined>;
  /** Makes a file, or overwrites it, and fsyncs the content. Its name is durable only after {@link syncDirectory}. */
  writeFile(path: string, content: Uint8Array): Promise<void>;
  /** Opens a file that is there, to be written in place; undefined where there is none. */
  openFile(path: string): Promise<DiskFile | undefined>;
  /**
   * A file takes the place of one that bears the name already. Durable only after {@link syncDirectory} of the parent.
   */
  rename(from: string, to: string): Promise<void>;
  /** Removes a file, or a directory with all that is in it; nothing where there is none. */
  remove(path: string): Promise<void>;
  makeDirectory(path: string): Promise<void>;
  /** The names in a directory. Rejects where there is none. */
  list(path: string): Promise<string[]>;
  /** Makes the names in a directory durable: what was made, renamed or removed in it before this call. */
  syncDirectory(path: string): Promise<void>;
  /** Makes an empty database in a directory that is not there yet; its files are durable when it resolves. */
  createDatabase(path: string, options: DatabaseOptions): Promise<DiskDatabase>;
  /** Rejects with DATA_LOSS where there is none, or the engine itself finds it damaged. */
  openDatabase(path: string, options: DatabaseOptions): Promise<DiskDatabase>;
  /** Whether a database holds nothing, as far as its files tell without opening it; also where there is none. */
  databaseIsEmpty(path: string): Promise<boolean>;
}

/** A file that is overwritten in place. */
export interface DiskFile {
  /** So many bytes from `position` on, by default its first; fewer where it is shorter. */
  read(bytes: number, position?: number): Promise<Uint8Array>;
  /**
   * Hands the bytes to the operating system before it returns: they survive the end of this process, and with {@link
   * sync} a power cut.
   */
  write(content: Uint8Array, position: number): void;
  /** Resolves when everything written before is on disk. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

export interface DatabaseOptions {
  /** What is written up to this size stays in the engine's write-ahead log. */
  readonly writeBufferBytes: number;
}

/** A value and its key. What a database returns is not to be believed before it is verified. */
export interface DatabaseEntry {
  readonly index: number;
  readonly bytes: Uint8Array;
}

/** A store of values by index. Several reads may go on beside a write; writes come one at a time. */
export interface DiskDatabase {
  /** Durably: deletes what stands at `deleteFrom`..`deleteTo`, then puts `entries`, all or nothing. */
  write(entries: readonly DatabaseEntry[], deleteFrom: number, deleteTo: number): Promise<void>;
  /**
   * What stands at `from`..`to`, in order, up to what is missing, or until about `maxBytes` or the entries of a chunk
   * are exceeded.
   */
  read(from: number, to: number, maxBytes: number): Promise<Uint8Array[]>;
  /** Everything there is, in order, a chunk at a time; what is there and can't be read has no bytes. */
  scan(visit: (entries: readonly DatabaseEntry[]) => void): Promise<void>;
  /**
   * Moves what the write-ahead log holds to where opening and reading it costs least. It changes nothing that can be
   * read.
   */
  settle(): Promise<void>;
  close(): Promise<void>;
}
