import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Server } from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import { assert } from '../base/index.js';
import { filesOfDescriptorSet } from '../wire/index.js';

/**
 * What buf made of the proto folder. The files themselves would not do: what
 * protobufjs makes of them when they are loaded misnames the entries of maps,
 * and strict readers, such as buf and everything in Go, refuse the whole file.
 */
const DESCRIPTOR_SET = join('proto', 'flotilla.binpb');

/** Lets tools such as grpcurl and buf ask the server for its own contract. */
export function addReflection(server: Server, descriptorSet: Uint8Array): void {
  const fileDescriptorProtos = filesOfDescriptorSet(descriptorSet);
  // The service looks at nothing but the files; the rest makes it a definition as its types want one.
  const contract = { format: 'Protocol Buffer 3 EnumDescriptorProto', type: {}, fileDescriptorProtos } as const;
  new ReflectionService({ flotilla: contract }).addToServer(server);
}

export function readDescriptorSet(): Uint8Array {
  return readFileSync(descriptorSetPath());
}

/** The file is in the package's root: two folders up when run from source, three when built. */
function descriptorSetPath(): string {
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    const candidate = join(folder, DESCRIPTOR_SET);
    if (existsSync(candidate)) return candidate;
    assert(folder !== dirname(folder), `the package lacks ${DESCRIPTOR_SET}; install it again`);
  }
}
