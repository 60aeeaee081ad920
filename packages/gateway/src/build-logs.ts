import { once } from "node:events";
import { setTimeout as pause } from "node:timers/promises";
import { BerthError, type BuildLogAnswer, type BuildLogEnd, type BuildProgress, type StoredLogLine, type Version } from "@berth/contracts";
import type { Request, Response } from "express";
import { authenticate } from "./auth.js";
import { nameFrom, numberFrom } from "./names.js";
import type { Services } from "./services.js";

/** A watcher looks again although no news came, and shows that the stream is alive, milliseconds. */
const LOOK_AGAIN_MS = 1000;
const PING_MS = 15_000;
/** Ids of lines are those of a Redis stream. */
const LINE_ID = /^\d{1,15}-\d{1,10}$/;

/** `GET /v1/functions/{name}/versions/{number}/log`: as it is, or with what is still to come when events are asked for. */
export async function getBuildLog(request: Request, response: Response, services: Services): Promise<void> {
	const { project } = await authenticate(request, services.keys);
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

/**
 * One who watches a build (Server-Sent Events, WHATWG HTML 9.2). It reads on only when what it read was taken, so a slow
 * reader holds one read's lines, and of progress the newest.
 */
class Watcher {
	readonly #version: Version;
	readonly #response: Response;
	readonly #services: Services;
	readonly #gone = new AbortController();
	#progress: BuildProgress | undefined;

	constructor(version: Version, response: Response, services: Services) {
		this.#version = version;
		this.#response = response;
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
		this.#response.once("close", () => this.#gone.abort());
		this.#response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-store" });
		this.#response.flushHeaders();
		try {
			let known = after;
			for (let spokeAtMs = performance.now(); !this.#gone.signal.aborted; ) {
				// What is said from here on is news: the reads come after.
				news = Promise.withResolvers();
				const step = await this.#step(known);
				if (step === undefined) return;
				if (step.said) spokeAtMs = performance.now();
				known = step.known;
				if (performance.now() - spokeAtMs >= PING_MS) {
					await this.#write(": ping\n\n");
					spokeAtMs = performance.now();
				}
				await this.#oneOf(news.promise);
			}
		} finally {
			unlisten();
		}
	}

	/** Says what there is to say. @returns undefined when that was all for good */
	async #step(known: string | undefined): Promise<{ readonly known: string | undefined; readonly said: boolean } | undefined> {
		const { project, function: name, number } = this.#version;
		const { functions } = this.#services;
		let last = known;
		try {
			// In this order: of a version that is final, all lines are there.
			const current = await functions.getVersion(project, name, number);
			const lines = await functions.logs.read(this.#version, known);
			const progress = this.#progress;
			this.#progress = undefined;
			for (const { id, ...line } of lines) {
				await this.#write(`id: ${id}\nevent: line\ndata: ${JSON.stringify({ id, ...line })}\n\n`);
				last = id;
			}
			if (current === undefined || current.state === "ready" || current.state === "failed") {
				const end: BuildLogEnd = { state: current?.state ?? "deleted" };
				this.#response.end(`event: end\ndata: ${JSON.stringify(end)}\n\n`);
				return undefined;
			}
			if (progress !== undefined) await this.#write(`event: progress\ndata: ${JSON.stringify(progress)}\n\n`);
			return { known: last, said: lines.length > 0 || progress !== undefined };
		} catch (error) {
			// Redis is away: the stream goes on when it is back.
			if (!(error instanceof BerthError) || error.code !== "unavailable") throw error;
			return { known: last, said: false };
		}
	}

	/** Resolves when the reader has room again, or is gone. */
	async #write(frame: string): Promise<void> {
		const { signal } = this.#gone;
		if (this.#response.write(frame) || signal.aborted) return;
		await once(this.#response, "drain", { signal }).catch((error: unknown) => {
			if (!signal.aborted) throw error;
		});
	}

	/** News, a while, or the reader's end. */
	async #oneOf(news: Promise<void>): Promise<void> {
		const over = new AbortController();
		const signal = AbortSignal.any([this.#gone.signal, over.signal]);
		try {
			await Promise.race([news, pause(LOOK_AGAIN_MS, undefined, { signal })]);
		} catch (error) {
			if (!signal.aborted) throw error;
		} finally {
			over.abort();
		}
	}
}
