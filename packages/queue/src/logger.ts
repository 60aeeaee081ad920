import type { ConnectionLog } from "@berth/redis";

/** What this package writes its log lines to; a pino logger fits. */
export interface QueueLogger extends ConnectionLog {
	error(fields: object, message: string): void;
}
