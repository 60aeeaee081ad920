import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { parseServerTiming } from "@berth/client";
import { describe, expect, it } from "vitest";
import { tarGz } from "../harness/archives.js";
import { expectUnforged, FORGED_HEADERS } from "../harness/forged-headers.js";
import { Deployed, type DeployInput, deploy, freshName, header, json } from "../harness/functions.js";
import { putFunction, send } from "../harness/raw-http.js";
import { sharedStack } from "../harness/shared-stack.js";

const stack = await sharedStack();
const EXAMPLE_IN_C = fileURLToPath(new URL("../../examples/c-hello/hello.c", import.meta.url));

type Input = Omit<DeployInput, "runtime" | "source" | "filename">;
/** A program of one file. */
const program = (source: string, input: Input = {}) => deploy(stack, { ...input, runtime: "custom", source });
/** One in JavaScript: `serve` answers requests. */
const server = (serve: string, input: Input = {}, before = "") =>
	program(`#!/usr/bin/node\n${before}\nrequire("node:http").createServer(${serve}).listen(process.env.BERTH_SOCKET);\n`, input);

interface File {
	readonly path: string;
	readonly body: string | Buffer;
	readonly mode?: number;
}

async function packed(files: readonly File[], manifest: object = {}) {
	const name = freshName();
	const answer = await send(stack, {
		method: "PUT",
		path: `/v1/functions/${name}?wait=true`,
		headers: [
			["content-type", "application/gzip"],
			["berth-manifest", JSON.stringify({ runtime: "custom", ...manifest })],
		],
		body: tarGz(...files),
	});
	return { answer, deployed: () => new Deployed(stack, name, json<{ version: Deployed["version"] }>(answer).version) };
}

describe("a program", () => {
	it("in C, linked statically, answers what it is asked, from a prewarmed sandbox first and then a warm one", async () => {
		const directory = await mkdtemp(join(tmpdir(), "berth-c-"));
		try {
			const path = join(directory, "bootstrap");
			await promisify(execFile)("cc", ["-O1", "-Wall", "-Werror", "-static", "-o", path, EXAMPLE_IN_C]);
			const { deployed } = await packed([{ path: "bootstrap", body: await readFile(path) }]);
			const hello = deployed();
			const answers = [await hello.invoke({ name: "Ada" }), await hello.invoke({})];
			expect(answers.map((answer) => json(answer.raw))).toEqual([{ hello: "Ada" }, { hello: "world" }]);
			const starts = await Promise.all(answers.map(async (answer) => (await hello.record(answer)).start));
			expect(starts).toEqual(["prewarmed", "warm"]);
		} finally {
			await rm(directory, { recursive: true });
		}
	});

	it("in a shell script finds the shell's programs, its own files with their modes, and nothing else's", async () => {
		const bootstrap = '#!/bin/sh\nexec socat UNIX-LISTEN:"$BERTH_SOCKET",fork EXEC:./bin/answer\n';
		const answer = `#!/bin/sh
read -r _ || exit 0
body="$(id -u) $(cat data/text) $(stat -c %a data/text bin/answer | tr '\\n' ' ')$(touch here 2>&1) $(ls /)"
printf 'HTTP/1.0 200 OK\\r\\ncontent-type: text/plain\\r\\n\\r\\n%s' "$body"
`;
		const { deployed } = await packed([
			{ path: "bootstrap", body: bootstrap },
			{ path: "bin/answer", body: answer, mode: 0o750 },
			{ path: "data/text", body: "some text", mode: 0o600 },
		]);
		const { body } = await deployed().request();
		expect(body.toString()).toMatch(/^1000 some text 644 755 touch: here: Read-only file system/);
		expect(body.toString().split("\n").slice(1)).not.toContain("home");
	});

	it("has the manifest's variables and the platform's", async () => {
		const env = { GREETING: "hi", PATH: "/function/code:/usr/bin:/bin" };
		const function_ = await server(
			"(_, response) => response.setHeader('content-type', 'application/json').end(JSON.stringify(process.env))",
			{ env },
		);
		expect(await function_.result()).toEqual({
			...env,
			HOME: "/tmp",
			TMPDIR: "/tmp",
			LANG: "C.UTF-8",
			BERTH_INVOKE_SOCKET: "/tmp/berth-invoke.sock",
			BERTH_SOCKET: "/tmp/berth.sock",
			BERTH_PROJECT: "default",
			BERTH_FUNCTION: function_.name,
			BERTH_VERSION: "1",
		});
	});
});

describe("an invocation of a program", () => {
	const ECHO = `(request, response) => {
		const chunks = [];
		request.on("data", (chunk) => chunks.push(chunk)).on("end", () => {
			const status = Number(request.headers["x-status"] ?? 200);
			response.writeHead(status, [["x-one", "1"], ["x-one", "2"], ["content-type", "application/json"]].flat());
			const { method, url, rawHeaders } = request;
			response.end(JSON.stringify({ method, url, rawHeaders, body: Buffer.concat(chunks).toString() }));
		});
	}`;
	interface Echo {
		readonly method: string;
		readonly url: string;
		readonly body: string;
		readonly rawHeaders: readonly string[];
	}

	it("says nothing in its headers that isn't its to say", async () => {
		const headers = JSON.stringify({ ...FORGED_HEADERS, "set-cookie": ["a=1", "b=2"] });
		const forging = await server(`(request, response) => response.writeHead(200, ${headers}).end("tea")`, { public: true });
		await expectUnforged(forging, await send(stack, { path: `/fn/default/${forging.name}`, key: null }), "tea");
	});

	it("over HTTP is the request as it came, and its response is the caller's", async () => {
		const echo = await server(ECHO, { public: true });
		const headers = [
			["x-a", "1"],
			["x-a", "2"],
			["x-status", "418"],
			["berth-invocation-id", "forged"],
		] as const;
		const answer = await send(stack, { method: "PUT", path: `/fn/default/${echo.name}//a/..%2f?b=%20`, headers, body: "body", key: null });
		expect([answer.status, header(answer, "x-one"), header(answer, "content-type")]).toEqual([418, "1, 2", "application/json"]);
		const seen = json<Echo>(answer);
		expect(seen).toMatchObject({ method: "PUT", url: "//a/..%2f?b=%20", body: "body" });
		const values = (name: string) => seen.rawHeaders.filter((_, at) => at % 2 === 1 && seen.rawHeaders[at - 1]?.toLowerCase() === name);
		expect(values("x-a")).toEqual(["1", "2"]);
		expect(values("berth-invocation-id")).toEqual([header(answer, "berth-invocation-id")]);
		expect(values("traceparent")).toEqual([parseServerTiming(header(answer, "server-timing"))["traceparent"]?.description]);
		expect(values("berth-attempt")).toEqual(["1"]);
		expect(values("berth-function")).toEqual([echo.name]);
		const leftMs = Number(values("berth-deadline-ms")[0]) - Date.now();
		expect(leftMs).toBeLessThan(30_000);
		expect(leftMs).toBeGreaterThan(0);
	});

	it("with a payload is a POST of it to /, in the background, too", async () => {
		const echo = await server(ECHO);
		expect(await echo.result<Echo>({ a: 1 })).toMatchObject({ method: "POST", url: "/", body: '{"a":1}' });
		const { id } = await stack.client.invokeAsync(echo.name, { json: { b: 2 } });
		await expect.poll(async () => (await echo.record({ id })).state, { timeout: 10_000 }).toBe("settled");
		expect((await echo.record({ id })).outcome).toBe("succeeded");
	});

	it("has large bodies whole both ways, and a response beyond the limit isn't anybody's", async () => {
		const large = await server(
			`(request, response) => request.headers["x-bytes"] ? response.end(Buffer.alloc(Number(request.headers["x-bytes"]))) : request.pipe(response)`,
		);
		const body = Buffer.alloc(6 * 1024 * 1024, "0123456789abcdef");
		expect((await large.request({ method: "POST", body })).body.equals(body)).toBe(true);
		const answer = await large.request({ headers: { "x-bytes": String(body.length + 1) } });
		expect([answer.status, header(answer, "berth-outcome")]).toEqual([502, "response_too_large"]);
	});

	it("invokes another one over its socket, once under a key however often it asks; a key that is none is refused", async () => {
		const echo = await server(ECHO);
		const asks = await server(`async (_, response) => {
			const ask = (key) => new Promise((resolve) => require("node:http").request({
				socketPath: process.env.BERTH_INVOKE_SOCKET, method: "POST", path: "/v1/functions/${echo.name}/invocations",
				headers: { prefer: "respond-async", "idempotency-key": key },
			}, async (answer) => resolve([answer.statusCode, JSON.parse((await answer.toArray()).join(""))])).end("7"));
			response.setHeader("content-type", "application/json");
			response.end(JSON.stringify([await ask("order-7"), await ask('"order-7"'), await ask("order 7")]));
		}`);
		const [first, again, refused] = await asks.result<[number, { id?: string }][]>();
		expect(first).toEqual([202, { id: expect.stringMatching(/^inv_/), state: "queued" }]);
		expect(again).toEqual(first);
		expect(refused).toMatchObject([400, { code: "invalid_request", detail: expect.stringContaining("idempotency-key: 1 to 255") }]);
	});

	it("that gets no answer, half of one or none that is HTTP fails alone; the next is answered", async () => {
		const broken = await program(`#!/usr/bin/node
			let asked = 0;
			require("node:net").createServer((socket) => socket.once("data", () => {
				const answers = ["", "HTTP/1.1 200 OK\\r\\ncontent-length: 10\\r\\n\\r\\nhalf", "GARBAGE\\r\\n\\r\\n", "HTTP/1.1 99 X\\r\\n\\r\\n", "HTTP/1.1 200 OK\\r\\n\\r\\nwhole"];
				socket.end(answers[asked++]);
			})).listen(process.env.BERTH_SOCKET);`);
		const seen = [];
		for (let at = 0; at < 5; at++) seen.push(await broken.invoke());
		expect(seen.map(({ outcome }) => outcome)).toEqual(["handler_error", "handler_error", "handler_error", "handler_error", "succeeded"]);
		expect(seen[0]?.problem?.detail).toContain("gave no answer");
		expect(seen[1]?.problem?.detail).toContain("broke its answer off");
		expect(seen[4]?.raw.body.toString()).toBe("whole");
		expect((await broken.record(seen[4] as { id: string })).start).toBe("warm");
	});

	it("is logged, what the program printed before it listened with the first", async () => {
		const loud = await server('(_, response) => { console.error("asked"); response.end(); }', {}, 'console.log("starting");');
		const first = await loud.invoke();
		const lines = (await loud.record(first)).logs.map(({ stream, text }) => `${stream} ${text}`);
		expect(lines).toEqual(["stdout starting", "stderr asked"]);
	});

	it("finds /tmp empty where it asked for that, and is still answered", async () => {
		const fresh = await server(
			`(_, response) => { const fs = require("node:fs"); response.setHeader("content-type", "application/json").end(JSON.stringify(fs.readdirSync("/tmp"))); fs.writeFileSync("/tmp/left", ""); }`,
			{ scratch: "fresh" },
		);
		expect([await fresh.result(), await fresh.result()]).toEqual([
			["berth-invoke.sock", "berth.sock"],
			["berth-invoke.sock", "berth.sock"],
		]);
	});
});

describe("a program that fails", () => {
	it("before it listens: init_error, and how it ended", async () => {
		const cases = [
			["#!/bin/sh\necho no luck >&2\nexit 3\n", /bootstrap exited with code 3 before it listened on BERTH_SOCKET/],
			["#!/bin/sh\nkill -SEGV $$\n", /was ended by SIGSEGV before/],
			["#!/usr/bin/bash\n", /bootstrap can't be started: it isn't there, or its interpreter .* isn't/],
			["#!/function/code/bootstrap\n", /bootstrap can't be started|ELOOP/],
		] as const;
		for (const [source, message] of cases) {
			const { outcome, problem } = await (await program(source)).invoke();
			expect([outcome, problem?.detail]).toEqual(["init_error", expect.stringMatching(message)]);
		}
	});

	it("by never listening: init_error at the end of the start budget", async () => {
		const { outcome, problem } = await (await program("#!/bin/sh\nsleep 60\n")).invoke();
		expect([outcome, problem?.detail]).toEqual(["init_error", expect.stringContaining("10000 ms")]);
	}, 30_000);

	it("by ending while it is asked: crashed, and the next has another sandbox", async () => {
		const once = await server('(request, response) => request.url === "/die" ? process.exit(7) : response.end("ok")');
		expect((await once.invoke()).outcome).toBe("succeeded");
		const died = await once.request({ path: "/die" });
		expect([died.status, header(died, "berth-outcome"), json(died)["detail"]]).toEqual([502, "crashed", expect.stringContaining("code 7")]);
		expect((await once.invoke()).outcome).toBe("succeeded");
	});

	it("by taking too long: timed_out, and nothing of it runs", async () => {
		const slow = await server("() => undefined", { timeoutMs: 300 }, 'require("node:child_process").spawn("sleep", ["1000"]);');
		expect((await slow.invoke()).outcome).toBe("timed_out");
		await expect.poll(async () => (await stack.client.sandboxes()).filter((one) => one.function === slow.name)).toEqual([]);
	});

	it("by using more memory than it may: out_of_memory", async () => {
		const greedy = await server("(_, response) => { const all = []; for (;;) all.push(Buffer.alloc(1 << 20, 1)); }", { memoryMiB: 96 });
		expect((await greedy.invoke()).outcome).toBe("out_of_memory");
	});
});

describe("an archive is refused", () => {
	const ELF = Buffer.alloc(64);
	ELF.write("\x7fELF", "latin1");
	ELF.writeUInt16LE(0xf3, 18);

	it.each([
		["without a bootstrap", [{ path: "main.sh", body: "#!/bin/sh\n" }], {}, /There is no bootstrap.*main\.sh/],
		[
			"without the entry that it names",
			[{ path: "bootstrap", body: "#!/bin/sh\n" }],
			{ entry: "bin/run" },
			/"bin\/run" isn't in the source/,
		],
		["whose bootstrap is text", [{ path: "bootstrap", body: "echo hello\n" }], {}, /begins with a line as `#!\/bin\/sh`/],
		["whose script has Windows line ends", [{ path: "bootstrap", body: "#!/bin/sh\r\nexit\r\n" }], {}, /Windows line ends/],
		["for another processor", [{ path: "bootstrap", body: ELF }], {}, /for machine 243 of ELF; this node's processor is/],
	] as const)("%s", async (_what, files, manifest, message) => {
		const { answer } = await packed(files, manifest);
		expect([answer.status, json(answer)]).toEqual([
			422,
			expect.objectContaining({ code: "no_handler", detail: expect.stringMatching(message) }),
		]);
	});

	it("as a file of another language, or of a language as a program", async () => {
		for (const body of [
			{ source: "#!/bin/sh\n", runtime: "custom", filename: "index.ts" },
			{ source: "#!/bin/sh\n", runtime: "node24", filename: "bootstrap" },
		]) {
			const answer = await putFunction(stack, freshName(), body, { query: "" });
			expect([answer.status, json(answer)["code"]]).toEqual([400, "invalid_manifest"]);
		}
	});
});

describe("a program that invokes other functions", () => {
	const ASKS = `async (request, response) => {
		const { name, payload, headers = {} } = JSON.parse(await require("node:stream/consumers").text(request));
		const asked = require("node:http").request({ socketPath: process.env.BERTH_INVOKE_SOCKET, method: "POST", path: "/v1/functions/" + name + "/invocations", headers: { "content-type": "application/json", ...headers } });
		asked.end(JSON.stringify(payload)).on("response", async (answer) => {
			const body = await require("node:stream/consumers").text(answer);
			response.setHeader("content-type", "application/json").end(JSON.stringify([answer.statusCode, answer.headers["berth-invocation-id"], body]));
		}).on("error", (error) => response.end(JSON.stringify([0, error.code])));
	}`;

	it("has their answers and their failures as HTTP, over a socket of its own, also with scratch that is fresh", async () => {
		const source = `export default async (payload) => { if (payload.throws) throw new Error("no"); return { got: payload }; }`;
		const [other, asks] = [await deploy(stack, { source }), await server(ASKS, { scratch: "fresh" })];
		const ask = (name: string, payload: object, headers = {}) => asks.result<[number, string, string]>({ name, payload, headers });
		const [status, id, body] = await ask(other.name, { n: 1 });
		expect([status, JSON.parse(body)]).toEqual([200, { got: { n: 1 } }]);
		expect(await stack.client.invocation(id)).toMatchObject({ function: other.name, parent: { function: asks.name }, depth: 1 });
		const failures = [
			await ask(other.name, { throws: true }),
			await ask("nobody", {}),
			await ask(other.name, {}, { "berth-timeout-ms": "1" }),
		];
		expect(failures.map(([code, , problem]) => [code, JSON.parse(problem).code])).toEqual([
			[502, "handler_error"],
			[404, "function_not_found"],
			[400, "invalid_request"],
		]);
		const [accepted, later] = await ask(other.name, { n: 2 }, { prefer: "respond-async" });
		expect([accepted, (await stack.client.invocation(later)).lane]).toEqual([202, "background"]);
	});
});
