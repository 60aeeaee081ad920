import { BerthError, type BuildLogAnswer, type BuildLogEnd, type BuildProgress, type StoredLogLine, type Version } from "@berth/contracts";
import type { Request, Response } from "express";
import { principalOf } from "./auth.js";
import { EventStream } from "./event-stream.js";
import { nameFrom, numberFrom } from "./names.js";
import type { Services } from "./services.js";

/** A watcher looks again although no news came, milliseconds. */
const LOOK_AGAIN_MS = 1000;
/** Ids of lines are those of a Redis stream. */
const LINE_ID = /^\d{1,15}-\d{1,10}$/;

/** `GET /v1/functions/{name}/versions/{number}/log`: as it is, or with what is still to come when events are asked for. */
export async function getBuildLog(request: Request, response: Response, services: Services): Promise<void> {
	const { project } = principalOf(request);
	const name = nameFrom(request.params["name"]);
	const version = await services.functions.needVersion(project, name, numberFrom(request.params["number"]));
	const after = lastEventIdOf(request);
	const kind = request.accepts(["application/json", "text/event-stream", "text/plain"]);
	if (kind === "text/event-stream" && request.method === "GET") {
		await new Watcher(version, response, services).run(after);
		return;
	}
	const lines = await services.functions.logs.read(version, after);
	if (kind === "text/plain") response.type("text/plain; charset=utf-8").send(lines.map(textOf).join(""));
	else response.json({ function: name, version: version.number, state: version.state, lines } satisfies BuildLogAnswer);
}

/** The last line that the caller has. A browser sends the header by itself when it connects again. */
function lastEventIdOf(request: Request): string | undefined {
	const id = request.headers["last-event-id"];
	if (id === undefined || id === "") return undefined;
	if (typeof id === "string" && LINE_ID.test(id)) return id;
	throw new BerthError("invalid_request", "Last-Event-ID is the id of a line of this log, as in 1764096000000-0", {
		issues: [{ field: "Last-Event-ID", message: "is no id of a line" }],
	});
}

function textOf({ at, text }: StoredLogLine): string {
	return `${at.slice(11, 23)} ${text}\n`;
}

/** One who watches a build. It reads on only when what it read was taken, so a slow reader holds one read's lines, and of progress the newest. */
class Watcher {
	readonly #version: Version;
	readonly #stream: EventStream;
	readonly #services: Services;
	#progress: BuildProgress | undefined;

	constructor(version: Version, response: Response, services: Services) {
		this.#version = version;
		this.#stream = new EventStream(response, services);
		this.#services = services;
	}

	/** Until the build has ended or nobody reads. @param after the last line that is known */
	async run(after: string | undefined): Promise<void> {
		const { functions } = this.#services;
		let news = Promise.withResolvers<void>();
		const unlisten = functions.logs.listen(this.#version, (progress) => {
			this.#progress = progress ?? this.#progress;
			news.resolve();
		});
		try {
			for (let known = after; !this.#stream.isGone; ) {
				// What is said from here on is news: the reads come after.
				news = Promise.withResolvers();
				const step = await this.#step(known);
				if (step === undefined) return;
				known = step.known;
				await this.#stream.wait(news.promise, LOOK_AGAIN_MS);
			}
		} finally {
			unlisten();
		}
	}

	/** Says what there is to say. @returns undefined when that was all for good */
	async #step(known: string | undefined): Promise<{ readonly known: string | undefined } | undefined> {
		const { project, function: name, number } = this.#version;
		const { functions } = this.#services;
		let last = known;
		try {
			// In this order: of a version that is final, all lines are there.
			const current = await functions.getVersion(project, name, number);
			const lines = await functions.logs.read(this.#version, known);
			const progress = this.#progress;
			this.#progress = undefined;
			for (const line of lines) {
				await this.#stream.send("line", line, line.id);
				last = line.id;
			}
			if (current === undefined || current.state === "ready" || current.state === "failed") {
				this.#stream.end("end", { state: current?.state ?? "deleted" } satisfies BuildLogEnd);
				return undefined;
			}
			if (progress !== undefined) await this.#stream.send("progress", progress);
			return { known: last };
		} catch (error) {
			// Redis is away: the stream goes on when it is back.
			if (!(error instanceof BerthError) || error.code !== "unavailable") throw error;
			return { known: last };
		}
	}
}
