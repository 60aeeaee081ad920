import { type Logger as PinoLogger, pino } from "pino";

export type Logger = PinoLogger;

/** JSON lines on stdout; keys and cookies are never in them. */
export function createLogger(name: string, level: string): Logger {
	return pino({ name, level, redact: ["req.headers.authorization", "headers.authorization", "key"] });
}
