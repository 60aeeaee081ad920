import { Agent, type IncomingHttpHeaders, request } from "node:http";
import { ERRORS, type Problem } from "@berth/contracts";
import fc from "fast-check";
import type { Asked, Document } from "./openapi-requests.js";

/** What came back. */
export interface Answer {
	readonly status: number;
	readonly headers: IncomingHttpHeaders;
	readonly body: string;
}

/** Asks a gateway over connections that are kept. */
export class Asker implements Disposable {
	readonly #agent = new Agent({ keepAlive: true, maxSockets: 64 });
	readonly #url: URL;
	readonly #keys: readonly string[];

	constructor(url: string, keys: readonly string[]) {
		this.#url = new URL(url);
		this.#keys = keys;
	}

	/** @throws Error when no answer comes */
	ask({ method, path, headers, key, body }: Asked): Promise<Answer> {
		const authorization = key === undefined ? {} : { authorization: `Bearer ${this.#keys[key]}` };
		const { hostname, port } = this.#url;
		const length = body === undefined ? {} : { "content-length": body.length };
		return new Promise((resolve, reject) => {
			const options = { agent: this.#agent, hostname, port, method, path, headers: { ...headers, ...authorization, ...length } };
			const sent = request(options, (response) => {
				let text = "";
				const done = () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text });
				response.setEncoding("utf8");
				response.on("data", (chunk: string) => {
					text += chunk;
					// A stream of events has no end.
					if (response.headers["content-type"]?.startsWith("text/event-stream")) sent.destroy();
				});
				response.once("close", done);
			});
			sent.once("error", reject);
			sent.end(body);
		});
	}

	[Symbol.dispose](): void {
		this.#agent.destroy();
	}
}

/** What no answer may have, by what it is. */
export type Secrets = Readonly<Record<string, RegExp>>;

/** What is wrong with an answer; undefined when nothing is. */
export function faultIn(asked: Asked, { status, headers, body }: Answer, document: Document, secrets: Secrets): string | undefined {
	const leaked = Object.entries(secrets).find(([, pattern]) => pattern.test(body) || pattern.test(JSON.stringify(headers)));
	if (leaked !== undefined) return `it has ${leaked[0]}`;
	const type = headers["content-type"];
	const isProblem = type === "application/problem+json";
	if (status < 400) {
		const operations = document.paths[asked.template];
		const method = (asked.method === "HEAD" ? "GET" : asked.method).toLowerCase();
		// Functions take any method there is; OpenAPI 3.1 has names for eight.
		const operation = operations?.[method] ?? (asked.template.startsWith("/fn/") ? operations?.["get"] : undefined);
		const isNamed = operation !== undefined && String(status) in operation.responses;
		return isNamed || (asked.method === "OPTIONS" && status === 204) || asked.template === "*"
			? undefined
			: "the document names no such status for it";
	}
	if (!isProblem) return `it is no problem but ${type}`;
	if (asked.method === "HEAD") return status < 500 ? undefined : "unplanned";
	const problem = parsed(body);
	if (problem === undefined || !(problem.code in ERRORS)) return "its code isn't in the catalogue";
	const entry = ERRORS[problem.code];
	if (entry.status !== status || problem.status !== status || problem.fault !== entry.fault)
		return "it isn't as the catalogue has its code";
	return status >= 500 ? "it is the platform's fault, or the function's" : undefined;
}

function parsed(body: string): Problem | undefined {
	try {
		return JSON.parse(body) as Problem;
	} catch {
		return undefined;
	}
}

/** Runs a property. @throws Error that says with which seed it failed */
export async function fuzz<Made>(arbitrary: fc.Arbitrary<Made>, runs: number, property: (made: Made) => Promise<void>): Promise<void> {
	const found = await fc.check(fc.asyncProperty(arbitrary, property), {
		numRuns: runs,
		// The server has a state: what is shrunk wouldn't do the same again.
		endOnFailure: true,
	});
	if (found.failed) throw new Error(`TEST_SEED=${found.seed}, after ${found.numRuns} runs`, { cause: found.errorInstance });
}
