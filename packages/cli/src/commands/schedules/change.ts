import type { ScheduleChanges } from "@berth/contracts";
import type { Command } from "commander";
import { CommandFailure, EXIT } from "../../exit-codes.js";
import { parseDurationMs, parseTime } from "../../input/durations.js";
import { jsonPayloadOf } from "../../input/payload.js";
import { parseAlias, parseReference, type Reference } from "../../input/reference.js";
import type { Registrar } from "../../registrar.js";
import type { Session } from "../../session.js";
import { showSchedule } from "./show.js";

/** What `create` and `update` have in common. What it may be, the gateway says. */
interface ScheduleOptions {
	readonly cron?: string;
	readonly every?: number;
	readonly at?: Date;
	readonly tz?: string;
	readonly payload?: string;
	readonly missed?: string;
	readonly overlap?: string;
	readonly jitter?: number;
	readonly start?: Date;
	readonly end?: Date;
}

interface CreateOptions extends ScheduleOptions {
	readonly name?: string;
	readonly paused?: boolean;
}

interface UpdateOptions extends ScheduleOptions {
	readonly alias?: string;
}

/** `berth schedules create|update|pause|resume|run|remove` */
export function registerScheduleChanges(schedules: Command, registrar: Registrar): void {
	registerCreate(schedules, registrar);
	registerUpdate(schedules, registrar);
	registerSwitch(schedules, registrar, "pause", "let it fire no more until it is resumed", false);
	registerSwitch(schedules, registrar, "resume", "let it fire again, from now on", true);
	registerRun(schedules, registrar);
	registerRemove(schedules, registrar);
}

function withScheduleOptions(command: Command): Command {
	return command
		.option("--cron <expression>", "five fields, or six with seconds first; @daily")
		.option("--every <duration>", "every so often: 30s, 15m, 24h", parseDurationMs)
		.option("--at <time>", "once, at this time: 2026-12-01T09:00:00Z, or a duration from now (30s, 2h)", parseTime)
		.option("--tz <zone>", "where --cron counts: Europe/Berlin (default: UTC)")
		.option("-d, --payload <payload>", "JSON for the function: the text itself, @file or - for stdin")
		.option("--missed <policy>", "when nobody was there: skip, one (default) or all")
		.option("--overlap <policy>", "while the last one runs: skip (default), queue or replace")
		.option("--jitter <duration>", "fire up to so much later, by chance", parseDurationMs)
		.option("--start <time>", "not before", parseTime)
		.option("--end <time>", "not after", parseTime);
}

function registerCreate(schedules: Command, { action, stdin }: Registrar): void {
	const command = schedules
		.command("create")
		.description("make a schedule")
		.argument("<function>", "the function that it invokes; hello@canary: that alias", parseReference)
		.option("--name <name>", "its name (default: cron, every or at)")
		.option("--paused", "it doesn't fire until it is resumed");
	withScheduleOptions(command).action(
		action(async (session: Session, { name, paused, ...options }: CreateOptions, { name: target, selector }: Reference) => {
			if (selector !== undefined && "version" in selector)
				throw new CommandFailure(EXIT.usage, "a schedule invokes what an alias leads to, not a version by its number");
			const when = [options.cron, options.every, options.at].filter((given) => given !== undefined);
			if (when.length !== 1) throw new CommandFailure(EXIT.usage, "when it fires is said by one of --cron, --every and --at");
			const changes = await changesOf(options, stdin);
			const { client } = await session.connect();
			const more = given({ name, alias: selector?.alias, enabled: paused === true ? false : undefined });
			showSchedule(session, await client.makeSchedule(target, { ...changes, ...more }));
			return EXIT.ok;
		}),
	);
}

function registerUpdate(schedules: Command, { action, stdin }: Registrar): void {
	const command = schedules
		.command("update")
		.description("change what is named of a schedule")
		.argument("<function>", "its function")
		.argument("<schedule>", "its name")
		.option("--alias <alias>", "whose version it invokes", parseAlias);
	withScheduleOptions(command).action(
		action(async (session: Session, { alias, ...options }: UpdateOptions, target: string, schedule: string) => {
			const changes = { ...(await changesOf(options, stdin)), ...given({ alias }) };
			if (Object.keys(changes).length === 0) throw new CommandFailure(EXIT.usage, "nothing is to be changed; --help lists what can be");
			const { client } = await session.connect();
			showSchedule(session, await client.changeSchedule(target, schedule, changes));
			return EXIT.ok;
		}),
	);
}

function registerSwitch(schedules: Command, { action }: Registrar, word: string, description: string, enabled: boolean): void {
	schedules
		.command(word)
		.description(description)
		.argument("<function>", "its function")
		.argument("<schedule>", "its name")
		.action(
			action(async (session: Session, _options: object, target: string, schedule: string) => {
				const { client } = await session.connect();
				showSchedule(session, await client.changeSchedule(target, schedule, { enabled }));
				return EXIT.ok;
			}),
		);
}

function registerRun(schedules: Command, { action }: Registrar): void {
	schedules
		.command("run")
		.description("run it now, besides what it does by itself")
		.argument("<function>", "its function")
		.argument("<schedule>", "its name")
		.action(
			action(async (session: Session, _options: object, target: string, schedule: string) => {
				const { client } = await session.connect();
				const run = await client.runSchedule(target, schedule);
				if (session.json) session.terminal.json(run);
				else session.terminal.print(run.invocation);
				return EXIT.ok;
			}),
		);
}

function registerRemove(schedules: Command, { action }: Registrar): void {
	schedules
		.command("remove")
		.alias("rm")
		.description("remove a schedule and its history")
		.argument("<function>", "its function")
		.argument("<schedule>", "its name")
		.action(
			action(async (session: Session, _options: object, target: string, schedule: string) => {
				const { client } = await session.connect();
				await client.removeSchedule(target, schedule);
				if (session.json) session.terminal.json({ removed: `${target}/${schedule}` });
				else session.terminal.note(`The schedule ${schedule} of ${target} is removed.`);
				return EXIT.ok;
			}),
		);
}

/** The fields that were said; what isn't allowed the gateway refuses by its name. */
async function changesOf(options: ScheduleOptions, stdin: NodeJS.ReadableStream): Promise<ScheduleChanges> {
	const { payload } = options;
	return given({
		cron: options.cron,
		everyMs: options.every,
		at: options.at?.toISOString(),
		timeZone: options.tz,
		payload: payload === undefined ? undefined : await jsonPayloadOf(payload, stdin),
		missed: options.missed,
		overlap: options.overlap,
		jitterMs: options.jitter,
		startAt: options.start?.toISOString(),
		endAt: options.end?.toISOString(),
	}) as ScheduleChanges;
}

function given(fields: Readonly<Record<string, unknown>>): object {
	return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
