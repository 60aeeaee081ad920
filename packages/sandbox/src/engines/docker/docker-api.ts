import { Agent, type IncomingMessage, type RequestOptions, request } from "node:http";
import type { Duplex } from "node:stream";
import { text } from "node:stream/consumers";

/** The least version of the Engine API that has what is used here: of Docker 20.10. */
const LEAST_API = "1.41";
/** A container's start on a loaded machine takes seconds, not a minute, milliseconds. */
const ANSWER_MS = 60_000;

/** What the Docker Engine refused or failed at; its message says what was asked and what it answered. */
export class DockerError extends Error {
	override readonly name = "DockerError";
	/** HTTP status; 0 when it couldn't be asked. */
	readonly status: number;

	constructor(what: string, status: number, message: string) {
		super(`Docker: ${what}: ${message}`);
		this.status = status;
	}
}

export interface DockerRequest {
	readonly method?: "GET" | "POST" | "DELETE";
	readonly query?: Readonly<Record<string, string | number>>;
	readonly json?: unknown;
	/** A tar, as it comes. */
	readonly body?: AsyncIterable<Uint8Array>;
	readonly headers?: Readonly<Record<string, string>>;
	/** Milliseconds until the answer's head has to be there; 0: for ever. */
	readonly answerMs?: number;
	/** Ends the request, or the answer as it comes. */
	readonly signal?: AbortSignal;
	/** Statuses besides 2xx that are an answer, too. */
	readonly accept?: readonly number[];
}

/** The Docker Engine API on its unix socket: as much of it as an engine needs. */
export class DockerApi {
	readonly #socketPath: string;
	readonly #prefix: string;
	readonly #agent = new Agent({ keepAlive: true, maxSockets: 64 });

	private constructor(socketPath: string, version: string) {
		this.#socketPath = socketPath;
		this.#prefix = `/v${version}`;
	}

	/** @throws DockerError when nobody answers there, or an Engine that is too old */
	static async open(socketPath: string): Promise<DockerApi> {
		const asked = new DockerApi(socketPath, LEAST_API);
		const { ApiVersion: most, MinAPIVersion: least } = await asked.#version();
		asked.close();
		if (isBelow(most, LEAST_API)) throw new DockerError("version", 0, `API ${LEAST_API} is needed (Docker 20.10), it has ${most}`);
		return new DockerApi(socketPath, isBelow(LEAST_API, least) ? least : LEAST_API);
	}

	/** @throws DockerError */
	async ask<Answer>(path: string, options: DockerRequest = {}): Promise<Answer> {
		const answer = await text(await this.send(path, options));
		return (answer === "" ? undefined : JSON.parse(answer)) as Answer;
	}

	/** The answer as it comes; whoever takes it reads it to its end or destroys it. @throws DockerError */
	async send(path: string, options: DockerRequest = {}): Promise<IncomingMessage> {
		const what = `${options.method ?? "GET"} ${path}`;
		const response = await this.#request(what, path, options);
		const { statusCode: status = 0 } = response;
		if ((status >= 200 && status < 300) || options.accept?.includes(status) === true) return response;
		throw new DockerError(what, status, messageIn(await text(response)));
	}

	/** Takes over the connection: what a container prints comes on it. @throws DockerError */
	async hijack(path: string, query: Readonly<Record<string, string | number>>): Promise<Duplex> {
		const what = `POST ${path}`;
		return await new Promise<Duplex>((resolve, reject) => {
			const asked = request({
				...this.#options(path, { method: "POST", query }),
				agent: false,
				headers: { connection: "Upgrade", upgrade: "tcp" },
			});
			const late = setTimeout(() => asked.destroy(new Error(`no answer within ${ANSWER_MS} ms`)), ANSWER_MS);
			asked.once("close", () => clearTimeout(late));
			asked.once("upgrade", (_, socket, head) => {
				clearTimeout(late);
				if (head.length > 0) socket.unshift(head);
				resolve(socket);
			});
			asked.once("response", (response) => {
				text(response).then((answer) => reject(new DockerError(what, response.statusCode ?? 0, messageIn(answer))), reject);
			});
			asked.once("error", (error) => reject(unreachable(what, error)));
			asked.end();
		});
	}

	close(): void {
		this.#agent.destroy();
	}

	async #version(): Promise<{ readonly ApiVersion: string; readonly MinAPIVersion: string }> {
		const response = await this.#request("GET /version", "/version", {}, "");
		return JSON.parse(await text(response)) as { ApiVersion: string; MinAPIVersion: string };
	}

	async #request(what: string, path: string, options: DockerRequest, prefix = this.#prefix): Promise<IncomingMessage> {
		const { json, body, answerMs = ANSWER_MS, signal } = options;
		const bytes = json === undefined ? undefined : Buffer.from(JSON.stringify(json));
		const headers = {
			...options.headers,
			...(bytes === undefined ? {} : { "content-type": "application/json", "content-length": bytes.byteLength }),
			...(body === undefined ? {} : { "content-type": "application/x-tar" }),
		};
		const asked = request({ ...this.#options(path, options, prefix), headers, ...(signal === undefined ? {} : { signal }) });
		const answer = new Promise<IncomingMessage>((resolve, reject) => {
			asked.once("response", resolve);
			asked.once("error", (error) => reject(unreachable(what, error)));
		});
		const late = answerMs === 0 ? undefined : setTimeout(() => asked.destroy(new Error(`no answer within ${answerMs} ms`)), answerMs);
		try {
			if (body === undefined) asked.end(bytes);
			else await upload(asked, body, answer);
			return await answer;
		} finally {
			clearTimeout(late);
		}
	}

	#options(path: string, { method = "GET", query = {} }: DockerRequest, prefix = this.#prefix): RequestOptions {
		const search = new URLSearchParams(Object.entries(query).map(([name, value]): [string, string] => [name, String(value)]));
		return { socketPath: this.#socketPath, agent: this.#agent, method, path: `${prefix}${path}${search.size === 0 ? "" : `?${search}`}` };
	}
}

/** Sends a body piece by piece, as fast as it is taken; stops when the answer is there before its end. */
async function upload(asked: ReturnType<typeof request>, body: AsyncIterable<Uint8Array>, answer: Promise<unknown>): Promise<void> {
	let answered = false;
	const over = answer.then(
		() => {
			answered = true;
		},
		() => {
			answered = true;
		},
	);
	try {
		for await (const piece of body) {
			if (answered) return;
			if (!asked.write(piece)) await Promise.race([new Promise((resolve) => asked.once("drain", resolve)), over]);
		}
		asked.end();
	} catch (error) {
		// Its source broke off: half of it must not be taken for all.
		asked.destroy(error as Error);
		answer.catch(() => undefined);
		throw error;
	}
}

function unreachable(what: string, error: Error): DockerError {
	return new DockerError(what, 0, error.message);
}

/** `{"message": "…"}`, as every refusal is. */
function messageIn(answer: string): string {
	try {
		const { message } = JSON.parse(answer) as { message?: unknown };
		return typeof message === "string" ? message : answer;
	} catch {
		return answer;
	}
}

function isBelow(version: string, than: string): boolean {
	const [major = 0, minor = 0] = version.split(".").map(Number);
	const [thanMajor = 0, thanMinor = 0] = than.split(".").map(Number);
	return major < thanMajor || (major === thanMajor && minor < thanMinor);
}
