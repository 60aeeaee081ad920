/** What this package writes its log lines to; a pino logger fits. */
export interface QueueLogger {
	debug(fields: object, message: string): void;
	info(fields: object, message: string): void;
	warn(fields: object, message: string): void;
	error(fields: object, message: string): void;
}

const silent = (): void => undefined;
/** Writes nothing. */
export const SILENT: QueueLogger = Object.freeze({ debug: silent, info: silent, warn: silent, error: silent });
