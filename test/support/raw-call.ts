import { Client, credentials, status as GrpcStatus, Metadata, type ServiceError } from '@grpc/grpc-js';
import type { ClusterNode } from './cluster-node.js';

const TIMEOUT_MS = 30_000;

/** How a call ended, as any gRPC client sees it. */
export interface RawOutcome {
  /** Name of the gRPC status. */
  readonly status: string;
  /** What the trailers say is our code. */
  readonly code: string | undefined;
  readonly message: string;
  readonly responses: number;
}

/** Calls a node with bytes of one's own choice, right or wrong. */
export class RawCaller {
  private readonly client: Client;

  constructor(node: ClusterNode) {
    this.client = new Client(node.address, credentials.createInsecure(), { 'grpc.max_send_message_length': -1 });
  }

  /** Sends messages to a method, such as `EventService/Append`, and waits for its end. */
  async call(method: string, ...messages: readonly Uint8Array[]): Promise<RawOutcome> {
    const call = this.client.makeBidiStreamRequest(
      `/flotilla.v1.${method}`,
      (bytes: Uint8Array) => Buffer.from(bytes),
      (bytes: Buffer) => bytes,
      new Metadata(),
      { deadline: Date.now() + TIMEOUT_MS },
    );
    let responses = 0;
    let failure: ServiceError | undefined;
    call.on('data', () => responses++);
    call.on('error', (error: ServiceError) => {
      failure = error;
    });
    for (const message of messages) call.write(message);
    call.end();
    await new Promise((resolve) => call.on('status', resolve));
    const [code] = failure?.metadata.get('flotilla-code') ?? [];
    return {
      status: GrpcStatus[failure?.code ?? GrpcStatus.OK],
      code: code === undefined ? undefined : String(code),
      message: failure?.details ?? '',
      responses,
    };
  }

  close(): void {
    this.client.close();
  }
}
