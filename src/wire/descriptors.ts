import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import { assert } from '../base/index.js';

/** The files of a compiled FileDescriptorSet (google/protobuf/descriptor.proto), each still encoded. */
export function filesOfDescriptorSet(set: Uint8Array): Buffer[] {
  const reader = new BinaryReader(set);
  const files: Buffer[] = [];
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    assert(field === 1 && type === WireType.LengthDelimited, 'a descriptor set holds files only');
    files.push(Buffer.from(reader.bytes()));
  }
  return files;
}
