import { type Logger as PinoLogger, pino, stdSerializers } from "pino";

export type Logger = PinoLogger;

/** JSON lines on stdout; keys and cookies are never in them, errors are, with their stacks. @param out instead of stdout */
export function createLogger(name: string, level: string, out?: { write(line: string): void }): Logger {
	const options = {
		name,
		level,
		redact: ["req.headers.authorization", "headers.authorization", "key"],
		// As JSON has it, an Error is `{}`.
		serializers: { error: stdSerializers.err },
	};
	return out === undefined ? pino(options) : pino(options, out);
}
