import type { EventQuery } from "@berth/client";
import { EVENT_KINDS, EVENTS_KEPT, type EventKind, type ProjectEvent } from "@berth/contracts";
import { InvalidArgumentError } from "commander";
import { EXIT, type ExitCode } from "../exit-codes.js";
import { untilStopped } from "../following.js";
import { parseDurationMs } from "../input/durations.js";
import { parseCount } from "../input/sizes.js";
import type { Registrar } from "../registrar.js";
import { durationText } from "../render/units.js";
import type { Session } from "../session.js";

interface EventsOptions {
	readonly follow?: boolean;
	readonly kind?: EventKind;
	readonly since?: number;
	readonly limit?: number;
}

/** `berth events [function]` */
export function registerEvents({ program, action }: Registrar): void {
	program
		.command("events")
		.description("print what happened: deploys, builds, refused deliveries, nodes")
		.argument("[function]", "of this function alone")
		.option("-f, --follow", "print what happens, ends of invocations too, until Ctrl-C")
		.option("--kind <kind>", `of this kind alone: ${EVENT_KINDS.join(", ")}`, parseKind)
		.option("--since <duration>", "of the last 30s, 10m, 2h", parseDurationMs)
		.option("--limit <n>", "the newest so many (default 100)", parseCount(1, EVENTS_KEPT))
		.action(
			action(async (session: Session, { follow, since, ...rest }: EventsOptions, name?: string) => {
				const { client } = await session.connect();
				const query: EventQuery = {
					...rest,
					...(name === undefined ? {} : { function: name }),
					...(since === undefined ? {} : { since: new Date(Date.now() - since).toISOString() }),
				};
				if (follow === true) return await watch(session, query);
				const list = await client.events(query);
				if (session.json) session.terminal.json(list);
				else for (const event of [...list.events].reverse()) session.terminal.print(eventText(event));
				if (!session.json && list.events.length === 0) session.terminal.note("Nothing of that happened lately.");
				return EXIT.ok;
			}),
		);
}

/** With `--json`: one document a line. */
async function watch(session: Session, query: EventQuery): Promise<ExitCode> {
	const { terminal, json } = session;
	const { client } = await session.connect();
	return await untilStopped(session, (signal, onFollowing) =>
		client.followEvents(query, {
			signal,
			onFollowing,
			onEvent: (event) => (json ? terminal.json(event) : terminal.print(eventText(event))),
			onDropped: ({ events }) => terminal.note(`${events} ends of invocations were dropped: they came faster than they were read.`),
			onRefused: ({ node, detail }) => terminal.note(`No ends of invocations on ${node} for now: ${detail}.`),
		}),
	);
}

/** `12:00:00.000 invocation succeeded  hello v3 inv_… in 2 ms on worker-1` */
function eventText({ at, kind, what, reason, ...event }: ProjectEvent): string {
	const version = event.version === undefined ? "" : ` v${event.version}`;
	const whose = event.function === undefined ? (event.node ?? "") : `${event.function}${version}`;
	const invocation = event.invocation === undefined ? "" : ` ${event.invocation}`;
	const attempt = (event.attempt ?? 1) > 1 ? `, attempt ${event.attempt}` : "";
	const ran = event.runMs === undefined ? "" : ` in ${durationText(event.runMs)}${attempt}`;
	const hook = event.hook === undefined ? "" : ` ${event.hook}`;
	const { host = event.node } = event;
	const where = host === undefined || whose === host ? "" : ` on ${host}`;
	return `${at.slice(11, 23)} ${kind} ${what}  ${whose}${hook}${invocation}${ran}${where}${reason === undefined ? "" : `: ${reason}`}`;
}

function parseKind(text: string): EventKind {
	const kind = EVENT_KINDS.find((one) => one === text);
	if (kind === undefined) throw new InvalidArgumentError(`One of ${EVENT_KINDS.join(", ")} is wanted.`);
	return kind;
}
