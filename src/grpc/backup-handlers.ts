import type { Handlers } from '../rpc/index.js';
import type { BackupUseCases, Caller, LogPart } from '../service/index.js';
import type { proto } from '../wire/index.js';

/** proto/flotilla/v1/backup_service.proto. */
export function backupHandlers(
  backups: BackupUseCases,
  caller: Caller,
): Handlers<typeof proto.BackupServiceDefinition> {
  return {
    readLog: (request, stream, { signal }) =>
      backups.readLog(caller, request, { send: (part) => stream.send({ content: partToProto(part) }) }, signal),
  };
}

function partToProto(part: LogPart): proto.ReadLogResponse['content'] {
  switch (part.kind) {
    case 'started': {
      const { kind: _, ...started } = part;
      return { $case: 'started', value: started };
    }
    case 'checkpoint':
      return { $case: 'checkpoint', value: part.piece };
    case 'records':
      return { $case: 'records', value: { records: [...part.records] } };
  }
}
