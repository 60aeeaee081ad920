import {
	entryOf,
	LOG_LEVELS,
	LOG_TAIL,
	type LogFilter,
	type LogLevel,
	newId,
	type TailAnswer,
	type TailDropped,
	type TailedLine,
	type TailLine,
	tailIdOf,
} from "@berth/contracts";
import type { LogQuestion } from "@berth/queue";
import { functionNotFound } from "@berth/registry";
import type { Request, Response } from "express";
import { askNode } from "./ask-node.js";
import { principalOf } from "./auth.js";
import { EventStream } from "./event-stream.js";
import { invocationIdFrom } from "./find-record.js";
import { attemptsOf } from "./invocation-answers.js";
import { logEntriesOf } from "./log-entries.js";
import { nameFrom } from "./names.js";
import { FOLLOW_MS, NodeFollowing } from "./node-following.js";
import { countFrom, timeFrom, wrongQuery } from "./query.js";
import type { Services } from "./services.js";

/** `GET /v1/logs`: the newest lines, or with events those that are printed from now on. */
export async function getLogs(request: Request, response: Response, services: Services): Promise<void> {
	const { project } = principalOf(request);
	const { query } = request;
	const filter: LogFilter = {
		project,
		...(query["function"] === undefined ? {} : { function: await functionFrom(query["function"], project, services) }),
		...(query["invocation"] === undefined ? {} : { invocation: invocationIdFrom(query["invocation"]) }),
		...(query["level"] === undefined ? {} : { level: levelFrom(query["level"]) }),
	};
	const sinceMs = timeFrom(query["since"], "since");
	const asked = countFrom(query["limit"], "limit", 0, LOG_TAIL.mostLines);
	const wanted = { filter, ...(sinceMs === undefined ? {} : { sinceMs }) };
	if (request.accepts(["application/json", "text/event-stream"]) !== "text/event-stream" || request.method !== "GET") {
		response.json(await newest({ kind: "logs", ...wanted, limit: asked ?? LOG_TAIL.lines }, services));
		return;
	}
	const after = lastIdFrom(request.headers["last-event-id"]);
	// Who names a time, or a line, wants what came since; who doesn't, what comes.
	const limit = asked ?? (sinceMs === undefined && after === undefined ? 0 : LOG_TAIL.mostLines);
	await follow({ kind: "logs", ...wanted, limit, ...(after === undefined ? {} : { after }) }, response, services);
}

/** Of one invocation its record has all; of others what is still in the nodes' memory is the newest there is. */
async function newest(question: LogQuestion, services: Services): Promise<TailAnswer> {
	const { filter, limit } = question;
	const recorded = filter.invocation === undefined ? undefined : await linesOnRecord(filter.invocation, filter.project, services);
	if (recorded !== undefined) {
		const since = recorded.filter(({ atMs, level }) => atMs >= (question.sinceMs ?? 0) && isWanted(level, filter.level));
		return { lines: limit === 0 ? [] : since.slice(-limit) };
	}
	const nodes = services.nodes.nodes();
	const answers = await Promise.allSettled(nodes.map(({ id }) => askNode(id, question, services, FOLLOW_MS)));
	const lines = answers
		.flatMap((answer) => (answer.status === "fulfilled" && answer.value.kind === "logs" ? answer.value.lines : []))
		.sort((a, b) => a.atMs - b.atMs);
	const missing = nodes.filter((_, at) => answers[at]?.status === "rejected").map(({ id }) => id);
	return { lines: limit === 0 ? [] : lines.slice(-limit).map(shown), ...(missing.length === 0 ? {} : { missing }) };
}

/** Undefined when it isn't settled yet, or is on record no more. */
async function linesOnRecord(id: string, project: string, services: Services): Promise<readonly TailLine[] | undefined> {
	const record = await services.invocations.record(id);
	if (record === undefined || record.project !== project || record.state !== "settled") return undefined;
	const { function: name, version, traceId } = record;
	const source = { function: name, version, invocation: id, ...(traceId === undefined ? {} : { traceId }) };
	const logged = await Promise.all(
		attemptsOf(record).map(async ({ attempt, logs }) => {
			const entries = (await logEntriesOf(logs, services.artifacts)) ?? [];
			return entries.map((entry) => ({ ...entry, ...source, attempt }));
		}),
	);
	return logged.flat().map((line, at) => ({ id: `${line.atMs}-${at + 1}-record`, ...line }));
}

/** Lines as the nodes' functions print them, until nobody reads. */
async function follow(question: LogQuestion, response: Response, services: Services): Promise<void> {
	const stream = new EventStream(response, services);
	const follower = newId("req");
	let last = question.after;
	const following = new NodeFollowing({
		stream,
		services,
		// A node that doesn't know who follows (any more) goes on after the last line.
		question: (ends) => ({ ...question, follower, ...(last === undefined ? {} : { after: last }), ...(ends ? { ends } : {}) }),
		say: async (answer) => {
			if (answer.kind !== "logs") return;
			const { lines, dropped, incomplete } = answer;
			if (incomplete === true) await stream.send("dropped", {} satisfies TailDropped);
			for (const line of lines) {
				if (stream.isGone) return;
				last = line.id;
				await stream.send("line", shown(line), line.id);
			}
			if (dropped > 0) await stream.send("dropped", { lines: dropped } satisfies TailDropped);
		},
	});
	await following.run();
}

function shown(line: TailedLine): TailLine {
	return { ...line, ...entryOf(line) };
}

function isWanted(level: LogLevel, least: LogLevel | undefined): boolean {
	return least === undefined || LOG_LEVELS.indexOf(level) >= LOG_LEVELS.indexOf(least);
}

/** A name that no function has would be waited for in vain. @throws BerthError invalid_name, function_not_found */
async function functionFrom(text: unknown, project: string, { functions }: Services): Promise<string> {
	const name = nameFrom(text, "function");
	if ((await functions.getFunction(project, name)) === undefined) throw functionNotFound(name);
	return name;
}

function levelFrom(text: unknown): LogLevel {
	const level = LOG_LEVELS.find((one) => one === text);
	if (level === undefined) throw wrongQuery("level", `one of ${LOG_LEVELS.join(", ")}`);
	return level;
}

function lastIdFrom(text: string | readonly string[] | undefined): string | undefined {
	if (text === undefined || text === "") return undefined;
	if (typeof text === "string" && tailIdOf(text) !== undefined) return text;
	throw wrongQuery("Last-Event-ID", "the id of a line of this stream, as in 1764096000000-12-0a1b2c3d");
}
