import type { Command } from "commander";
import type { ExitCode } from "./exit-codes.js";
import type { Session } from "./session.js";

/** What a command does: its parsed options, then its arguments. What it throws is reported for it. */
// biome-ignore lint/suspicious/noExplicitAny: commander gives options and arguments untyped; each command states their types
export type Act = (session: Session, options: any, ...args: any[]) => Promise<ExitCode>;

/** What a command needs to put itself into the program. */
export interface Registrar {
	readonly program: Command;
	readonly stdin: NodeJS.ReadableStream;
	/** Makes commander's listener of a command's deed. */
	action(act: Act): (...given: unknown[]) => Promise<void>;
}
