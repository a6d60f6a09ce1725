import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Server } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { ReflectionService } from '@grpc/reflection';
import { assert } from '../base/index.js';

const PROTO_FILES = ['flotilla/v1/event_service.proto', 'flotilla/v1/cluster_service.proto', 'flotilla/v1/peer_service.proto'];

/** Lets tools such as grpcurl and buf ask the server for its own contract. */
export function addReflection(server: Server): void {
  const definition = loadSync(PROTO_FILES, { includeDirs: [protoFolder()], keepCase: true });
  new ReflectionService(definition).addToServer(server);
}

/** The package's `proto` folder: two folders up when run from source, three when built. */
function protoFolder(): string {
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    const candidate = join(folder, 'proto');
    if (existsSync(join(candidate, 'flotilla'))) return candidate;
    assert(folder !== dirname(folder), 'the package lacks its proto folder; install it again');
  }
}
