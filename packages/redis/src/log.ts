/** What connections write their log lines to; a pino logger fits. */
export interface ConnectionLog {
	debug(fields: object, message: string): void;
	info(fields: object, message: string): void;
	warn(fields: object, message: string): void;
}

const silent = (): void => undefined;
/** Writes nothing. */
export const SILENT = Object.freeze({ debug: silent, info: silent, warn: silent, error: silent });
