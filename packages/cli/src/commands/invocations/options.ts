import type { DeadLetterQuery } from "@berth/client";
import { type InvocationState, OUTCOMES, type Outcome } from "@berth/contracts";
import { type Command, Option } from "commander";
import { parseDurationMs } from "../../input/durations.js";
import { parseCount } from "../../input/sizes.js";

/** Which invocations a command line means. */
export interface FilterOptions {
	readonly function?: string;
	readonly outcome?: Outcome;
	readonly since?: number;
	readonly limit?: number;
	readonly cursor?: string;
	readonly state?: InvocationState;
}

/** @param most of one request */
export function withFilters(command: Command, most: number, what: string): Command {
	return command
		.option("--function <name>", "of this function alone")
		.addOption(new Option("--outcome <outcome>", "that ended so").choices(OUTCOMES))
		.option("--since <duration>", "accepted in the last 30m, 2h, 24h", parseDurationMs)
		.option("--limit <n>", what, parseCount(1, most));
}

export function queryOf({ since, state: _, ...rest }: FilterOptions): DeadLetterQuery {
	return { ...rest, ...(since === undefined ? {} : { since: new Date(Date.now() - since).toISOString() }) };
}
