import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type Client, createClient } from "@berth/client";
import { type Outcome, problemOf, type StartKind } from "@berth/contracts";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { BenchOptions, Subject } from "../options.js";
import { runBench } from "../run-bench.js";
import { openFunction } from "./bench-function.js";

const PHASES = { queueMs: 0.1, startMs: 1, initMs: 1, runMs: 0.5 };

/** The API as the bench sees it, over real HTTP: it keeps a journal, and starts sandboxes as it is told. */
class JournalingGateway {
	readonly journal: string[] = [];
	/** What was asked about the neighbour. */
	readonly neighbours: string[] = [];
	readonly deployed: { readonly body: string; readonly manifest: string | undefined }[] = [];
	/** The kinds that starts come out as, whatever the pool should give: by default as it should. */
	startOf: (wanted: StartKind) => StartKind = (wanted) => wanted;
	outcome: Outcome = "succeeded";
	answering = (version: number) => version;
	source = { kind: "file", text: "export default 1" };
	#floor: number | "default" = "default";
	#version = 0;
	#cold = false;
	readonly #records = new Map<string, { version: number; start: StartKind }>();
	readonly #server = createServer((request, response) => void this.#answer(request, response));

	async listen(): Promise<string> {
		this.#server.listen(0, "127.0.0.1");
		await once(this.#server, "listening");
		return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
	}

	async close(): Promise<void> {
		this.#server.closeAllConnections();
		await new Promise((resolve) => this.#server.close(resolve));
	}

	async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
		const chunks: Buffer[] = [];
		for await (const chunk of request) chunks.push(chunk as Buffer);
		const body = Buffer.concat(chunks).toString();
		const path = new URL(request.url ?? "", "http://h").pathname.replace(/bench-[0-9a-f]{8}/, "BENCH");
		if (path.startsWith("/v1/functions/BENCH-neighbour")) this.#serveNeighbour(request, response, path);
		else if (path.endsWith("/invocations")) this.#invoke(response);
		else if (path.startsWith("/v1/invocations/")) response.end(JSON.stringify({ ...this.#records.get(path.slice(16)), phases: PHASES }));
		else response.end(JSON.stringify(this.#manage(request, path, body)));
	}

	/** It is always warm; only that it is deployed, invoked and removed is written down. */
	#serveNeighbour(request: IncomingMessage, response: ServerResponse, path: string): void {
		this.neighbours.push(`${request.method} ${path}`);
		if (request.method === "PUT") response.end(JSON.stringify({ version: { number: 1 }, unchanged: false }));
		else response.writeHead(200, { "berth-invocation-id": "inv_neighbour", "berth-outcome": "succeeded" }).end("{}");
	}

	#manage(request: IncomingMessage, path: string, body: string): unknown {
		const { pathname } = new URL(path, "http://h");
		this.journal.push(pathname === "/v1/nodes/commands" ? commandText(body) : `${request.method} ${pathname}`);
		if (request.method === "PUT") {
			this.deployed.push({ body, manifest: request.headers["berth-manifest"] as string | undefined });
			this.#cold = true;
			return { version: { number: ++this.#version }, unchanged: false };
		}
		if (pathname === "/v1/nodes/commands" && body.includes("prewarm")) this.#floor = (JSON.parse(body) as { floor: number }).floor;
		if (pathname.endsWith("/source")) return this.source.text;
		const source = { kind: this.source.kind, filename: "shop.ts", sizeBytes: 1 };
		return {
			affected: 0,
			version: { function: "shop", number: 7, source, manifest: { memoryMiB: 256, pool: { min: 1 }, env: { A: "1" } } },
		};
	}

	#invoke(response: ServerResponse): void {
		const wanted = this.#cold ? (this.#floor === 0 ? "boot" : "prewarmed") : "warm";
		const id = `inv_${this.#records.size}`;
		this.#records.set(id, { version: this.answering(this.#version), start: this.startOf(wanted) });
		if (this.#cold) this.journal.push(`${wanted} start`);
		this.#cold = false;
		const headers = { "berth-invocation-id": id, "berth-outcome": this.outcome };
		if (this.outcome === "succeeded") response.writeHead(200, headers).end("{}");
		else response.writeHead(502, headers).end(JSON.stringify(problemOf("handler_error", "TypeError: no")));
	}
}

function commandText(body: string): string {
	const { kind, floor } = JSON.parse(body) as { kind: string; floor?: number };
	return floor === undefined ? kind : `${kind} ${floor}`;
}

const SOURCE: Subject = { kind: "source", deploy: { filename: "a.ts", source: "export default 1" } };

let gateway: JournalingGateway;
let url: string;
let client: Client;
beforeEach(async () => {
	gateway = new JournalingGateway();
	url = await gateway.listen();
	client = createClient({ url, key: "k" });
});
afterEach(async () => {
	await client.close();
	await gateway.close();
});

function bench(options: Partial<BenchOptions> = {}) {
	const least = { starts: 2, warmPerStart: 3, idleMs: 1, load: undefined, floors: [], floorRuns: 1 } as const;
	return runBench({ ...least, url, key: "k", subject: SOURCE, payload: {}, ...options });
}

describe("cold starts", () => {
	test("are each of a new version, after its idle sandboxes are gone and the pool is full, or empty for a boot", async () => {
		const report = await bench();
		const starts = gateway.journal.flatMap((entry, index) =>
			entry.endsWith(" start") ? [gateway.journal.slice(index - 3, index + 1)] : [],
		);
		// Two rehearsals and two samples of each kind.
		expect(starts).toHaveLength(8);
		for (const steps of starts) {
			const floor = steps[3] === "boot start" ? "0" : "default";
			expect(steps.slice(0, 3)).toEqual(["PUT /v1/functions/BENCH", "evict", `prewarm ${floor}`]);
		}
		expect(new Set(gateway.deployed.map(({ body }) => body)).size).toBe(gateway.deployed.length);
		expect(report.starts).toMatchObject({ boot: { n: 2 }, prewarmed: { n: 2 }, warm: { n: 6 }, frozen: { n: 2 } });
	});

	test("and starts after a rest come close upon invocations of a neighbour", async () => {
		await bench();
		const path = "/v1/functions/BENCH-neighbour";
		// Two rehearsals and two samples of both cold kinds, and a frozen start after each of the prewarmed ones that count.
		const wakeUps = Array.from({ length: 5 * (8 + 2) }, () => `POST ${path}/invocations`);
		expect(gateway.neighbours).toEqual([`PUT ${path}`, ...wakeUps, `DELETE ${path}`]);
	});

	test("count as what the record says, not as what was wanted; one that can't be had is given up", async () => {
		gateway.startOf = (wanted) => (wanted === "boot" ? "prewarmed" : wanted);
		const { starts } = await bench();
		expect(starts?.boot).toMatchObject({ n: 0, discarded: { prewarmed: 5 } });
		expect(starts?.prewarmed.n).toBe(2);
	});

	test("of another version than the one just made are no measurement", async () => {
		gateway.answering = (version) => version - 1;
		await expect(bench()).rejects.toThrow("version 1 answered after version 2 was deployed");
	});

	test("of a function that fails with this payload say so", async () => {
		gateway.outcome = "handler_error";
		await expect(bench()).rejects.toThrow("doesn't succeed with this payload (handler_error): TypeError: no");
	});
});

describe("what was deployed for the bench is removed and the pool put back", () => {
	const isTidy = () => expect(gateway.journal.slice(-2)).toEqual(["prewarm default", "DELETE /v1/functions/BENCH"]);

	test("when it is done", async () => {
		await bench();
		isTidy();
	});

	test("when it fails", async () => {
		gateway.outcome = "handler_error";
		await expect(bench()).rejects.toThrow();
		isTidy();
	});

	test("when it is interrupted", async () => {
		const interruption = new AbortController();
		gateway.startOf = (wanted) => {
			interruption.abort(new Error("interrupted"));
			return wanted;
		};
		await expect(bench({ signal: interruption.signal })).rejects.toThrow("interrupted");
		isTidy();
	});
});

describe("a deployed function", () => {
	test("is measured as a copy with its manifest, and itself only read", async () => {
		const report = await bench({ subject: { kind: "deployed", name: "shop" } });
		expect(JSON.parse(gateway.deployed[0]?.body ?? "")).toMatchObject({ memoryMiB: 256, env: { A: "1" }, filename: "shop.ts" });
		expect(gateway.deployed[0]?.body).not.toContain("pool");
		expect(report.target).toMatchObject({ function: "shop", distinctBy: "source" });
		const touched = new Set(gateway.journal.filter((entry) => entry.includes("/functions/shop")));
		expect([...touched]).toEqual(["GET /v1/functions/shop", "GET /v1/functions/shop/versions/7/source"]);
	});

	test("of an archive gets versions that differ by their environment", async () => {
		gateway.source = { kind: "tar.gz", text: "bytes" };
		await using copy = await openFunction(client, { kind: "deployed", name: "shop" }, {});
		expect([await copy.renew(), await copy.renew()]).toEqual([2, 3]);
		expect(copy.distinctBy).toBe("environment");
		const marks = gateway.deployed.map(({ manifest }) => (JSON.parse(manifest ?? "") as { env: Record<string, string> }).env);
		expect(new Set(marks.map((env) => env["BENCH_VERSION"])).size).toBe(3);
		expect(marks.every((env) => env["A"] === "1")).toBe(true);
	});
});
