import type { HookEventQuery } from "@berth/client";
import type { HookEvent, HookEventDetail, HookResult, Redelivery } from "@berth/contracts";
import type { Command } from "commander";
import { CommandFailure, EXIT } from "../../exit-codes.js";
import { parseDurationMs } from "../../input/durations.js";
import { parseCount } from "../../input/sizes.js";
import { hearStops } from "../../interruption.js";
import type { Registrar } from "../../registrar.js";
import { eventLine, eventsTable, eventText } from "../../render/hooks.js";
import type { Session } from "../../session.js";

interface EventsOptions {
	readonly result?: HookResult;
	readonly event?: string;
	readonly search?: string;
	readonly since?: number;
	readonly limit?: number;
	readonly before?: number;
}

interface RedeliverCommandOptions {
	readonly failedSince?: number;
	readonly idempotencyKey?: string;
}

/** `berth hooks events|tail|redeliver` */
export function registerHookEvents(hooks: Command, registrar: Registrar): void {
	registerEvents(hooks, registrar);
	registerTail(hooks, registrar);
	registerRedeliver(hooks, registrar);
}

function registerEvents(hooks: Command, { action }: Registrar): void {
	hooks
		.command("events")
		.description("list a hook's deliveries, newest first; or show one, with its body")
		.argument("<function>", "its function")
		.argument("<hook>", "its name")
		.argument("[event]", "its id: evt_…")
		.option("--result <result>", "answered, queued, failed, lost, refused, duplicate, filtered, limited or challenge")
		.option("--event <event>", "of this event alone")
		.option("--search <text>", "with this text in them, or in a body up to 4 KiB")
		.option("--since <duration>", "of the last 30m, 2h, 24h", parseDurationMs)
		.option("--limit <n>", "how many (default 50)", parseCount(1, 100))
		.option("--before <revision>", "go on where a list ended", parseCount(1))
		.action(
			action(async (session: Session, options: EventsOptions, target: string, hook: string, event: string | undefined) => {
				const { client } = await session.connect();
				if (event !== undefined) {
					show(session, await client.hookEvent(target, hook, event));
					return EXIT.ok;
				}
				const { since, ...rest } = options;
				const query: HookEventQuery = { ...rest, ...(since === undefined ? {} : { since: agoText(since) }) };
				const list = await client.hookEvents(target, hook, query);
				if (session.json) session.terminal.json(list);
				else if (list.events.length === 0) session.terminal.note("There is no such delivery.");
				else session.terminal.print(eventsTable(list.events, Date.now()));
				if (!session.json && list.before !== undefined) session.terminal.note(`There are older ones: --before ${list.before}`);
				return EXIT.ok;
			}),
		);
}

function registerTail(hooks: Command, { action }: Registrar): void {
	hooks
		.command("tail")
		.description("show a hook's deliveries as they come, until Ctrl-C")
		.argument("<function>", "its function")
		.argument("<hook>", "its name")
		.action(
			action(async (session: Session, _options: object, target: string, hook: string) => {
				const { client } = await session.connect();
				const stopping = new AbortController();
				using _ = hearStops(() => stopping.abort());
				try {
					for await (const event of client.followHook(target, hook, stopping.signal)) sayEvent(session, event);
				} catch (error) {
					if (!stopping.signal.aborted) throw error;
				}
				return EXIT.ok;
			}),
		);
}

function registerRedeliver(hooks: Command, { action }: Registrar): void {
	hooks
		.command("redeliver")
		.description("run a delivery once more, or all that failed since, in the background")
		.argument("<function>", "its function")
		.argument("<hook>", "its name")
		.argument("[event]", "its id: evt_…")
		.option("--failed-since <duration>", "all that failed in the last 30m, 2h, 24h", parseDurationMs)
		.option("--idempotency-key <key>", "of an event: once, however often it is sent with this key")
		.action(
			action(async (session: Session, options: RedeliverCommandOptions, target: string, hook: string, event?: string) => {
				const { failedSince, idempotencyKey } = options;
				if ((event === undefined) === (failedSince === undefined))
					throw new CommandFailure(EXIT.usage, "an event is wanted, or --failed-since");
				// Its time is another one with each request; and what was redelivered isn't again.
				if (failedSince !== undefined && idempotencyKey !== undefined)
					throw new CommandFailure(EXIT.usage, "--idempotency-key is for an event: --failed-since redelivers each one once");
				const { client } = await session.connect();
				const done =
					event === undefined
						? await client.redeliverFailed(target, hook, agoText(failedSince ?? 0))
						: await client.redeliver(target, hook, event, { idempotencyKey });
				sayRedelivered(session, done);
				return done.skipped.length > 0 ? EXIT.failed : EXIT.ok;
			}),
		);
}

function show({ terminal, json }: Session, event: HookEventDetail): void {
	if (json) terminal.json(event);
	else terminal.print(eventText(event));
}

/** With `--json`: one document a line. */
function sayEvent({ terminal, json }: Session, event: HookEvent): void {
	if (json) terminal.json(event);
	else terminal.print(eventLine(event));
}

function sayRedelivered({ terminal, json }: Session, done: Redelivery): void {
	if (json) {
		terminal.json(done);
		return;
	}
	for (const { event, as, invocation } of done.redelivered) terminal.print(`${event} again as ${as}: ${invocation}`);
	for (const { event, reason } of done.skipped) terminal.note(`${event} stays: ${reason}`);
	if (done.redelivered.length + done.skipped.length === 0) terminal.note("None failed that wasn't redelivered.");
}

function agoText(ms: number): string {
	return new Date(Date.now() - ms).toISOString();
}
