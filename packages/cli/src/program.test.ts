import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough, Readable } from "node:stream";
import { loadSettings } from "@berth/config";
import { problemOf } from "@berth/contracts";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EXIT } from "./exit-codes.js";
import { runCommandLine } from "./program.js";
import { identityOf } from "./supervisor/process-identity.js";
import { writeSupervisorState } from "./supervisor/state-file.js";
import { Terminal } from "./terminal.js";

const COMMANDS = [
	"up",
	"down",
	"deploy",
	"invoke",
	"list",
	"versions",
	"inspect",
	"alias",
	"rollback",
	"logs",
	"rm",
	"hooks",
	"ps",
	"stats",
	"kill",
	"key",
	"project",
	"audit",
	"bench",
	"doctor",
];

/** Answers every request with the problem that its path ends in. */
let server: Server;
let url: string;
beforeAll(async () => {
	server = createServer((request, response) => {
		const code = request.headers.authorization === "Bearer good" ? "function_not_found" : "unauthorized";
		const problem = problemOf(code, "no such luck");
		response.writeHead(problem.status, { "content-type": "application/problem+json" }).end(JSON.stringify(problem));
	});
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => new Promise((resolve) => server.close(resolve)));

async function berth(...args: string[]) {
	const [stdout, stderr] = [new PassThrough(), new PassThrough()];
	const terminal = new Terminal(stdout, stderr, true);
	const code = await runCommandLine(args, { terminal, user: { noColour: true, dataDir: "/nowhere/berth" }, stdin: Readable.from([]) });
	return { code, out: String(stdout.read() ?? ""), err: String(stderr.read() ?? "") };
}

test("every command has help with an example", async () => {
	for (const command of COMMANDS) {
		const { code, out } = await berth(command, "--help");
		expect([command, code]).toEqual([command, 0]);
		expect(out).toMatch(new RegExp(`Examples?:\\n.*berth(?: --data \\S+)? ${command}`, "s"));
		expect(out).toContain("--json");
		expect(Math.max(...out.split("\n").map(({ length }) => length))).toBeLessThanOrEqual(80);
	}
	const { out } = await berth("--help");
	expect(Math.max(...out.split("\n").map(({ length }) => length))).toBeLessThanOrEqual(80);
	for (const command of COMMANDS) expect(out).toMatch(new RegExp(`^ {2}${command}\\b`, "m"));
	expect(out).toContain("Exit codes");
});

describe("the exit code", () => {
	test.each([
		["an unknown command", ["nonsense"]],
		["a missing argument", ["deploy"]],
		["a wrong value", ["deploy", "x.ts", "--memory", "lots"]],
		["an unknown option", ["list", "--nonsense"]],
		["a file that isn't there", ["deploy", "/nowhere/x.ts"]],
		["a port beyond the last", ["up", "--port", "65536"]],
		["a variable that isn't set", ["up", "--data", ""]],
		["a time that would be guessed", ["invoke", "hello", "--async", "--at", "Dec 24"]],
		["a URL that is none", ["--url", "nonsense", "--key", "k", "list"]],
		["weights that aren't 100 %", ["alias", "set", "f", "live", "v1=90"]],
		["a weight for a version twice", ["alias", "set", "f", "live", "v1=50", "v1=50"]],
		["a weight that is no number", ["alias", "set", "f", "live", "v1=x", "v2=10"]],
		["an alias that would be taken for a version", ["alias", "set", "f", "v3", "latest"]],
		["an alias that would lead nowhere", ["alias", "set", "f", "live"]],
		["an unknown command of a command's", ["alias", "nonsense"]],
		["a rollback of a version", ["rollback", "f@3"]],
		["the removal of an alias as if it were a version", ["rm", "f@live"]],
		["a name that ends in @", ["inspect", "f@"]],
		["quotas of which none is named", ["project", "set", "shop"]],
		["a body that isn't there", ["hooks", "send", "/nowhere.json", "--to", "shop/github"]],
	])("is 2 for %s", async (_, args) => {
		const { code, err } = await berth(...args);
		expect(code).toBe(2);
		expect(err).toMatch(/^error: /);
		expect(err).not.toMatch(/^ +at /m);
	});

	test("is 1 for what failed, and says so with the problem's code", async () => {
		const { code, err, out } = await berth("--url", url, "--key", "good", "rm", "hello");
		expect([code, out]).toEqual([1, ""]);
		expect(err).toContain("(function_not_found)");
	});

	test("is 3 when the key is refused, nobody answers, or no stack is up", async () => {
		expect((await berth("--url", url, "--key", "bad", "list")).code).toBe(3);
		const lonely = await berth("--url", "http://127.0.0.1:1", "--key", "k", "list");
		expect(lonely).toMatchObject({ code: 3, err: expect.stringContaining("berth up") });
		expect(await berth("list")).toMatchObject({ code: 3, err: expect.stringContaining("no stack is up in /nowhere/berth") });
		expect(await berth("restart")).toMatchObject({ code: 1, err: expect.stringMatching(/no stack is up in \/nowhere\/berth .*--data/) });
	});
});

test("where a worker is alone, a command says that it wants a gateway named, not that no stack is up", async () => {
	const data = await mkdtemp(join(tmpdir(), "berth-alone-"));
	try {
		const { paths } = loadSettings({ BERTH_DATA_DIR: data });
		await mkdir(paths.run, { recursive: true });
		const supervisor = await identityOf(process.pid);
		if (supervisor === undefined) throw new Error("this process has no identity");
		await writeSupervisorState(paths, { supervisor, phase: "ready", startedAt: new Date().toISOString(), children: [] });
		const { code, err } = await berth("--data", data, "nodes");
		expect(code).toBe(3);
		expect(err).toMatch(/a worker alone .*--url or BERTH_URL .*--key or BERTH_API_KEY/);
		expect(err).not.toContain("no stack is up");
	} finally {
		await rm(data, { recursive: true });
	}
});

test("a value that the gateway would refuse by its field is refused by the option, in its own unit", async () => {
	const short = await berth("key", "create", "ci", "--scope", "read", "--expires", "10s");
	expect(short).toMatchObject({ code: 2, err: expect.stringMatching(/--expires.*'10s'.* 1m to 87600h/) });
	const absent = await berth("hooks", "send", "/nowhere.json", "--to", "shop/github");
	expect(absent.err).toBe("error: /nowhere.json: there is no such file or directory\n");
});

test("a hint of what to type next leads to the project that the command was for", async () => {
	const answers: Readonly<Record<string, object>> = {
		"POST /v1/keys": { name: "twin", key: "berth_k", project: "shop", scopes: ["read"] },
		"GET /v1/secrets": { secrets: [] },
		"POST /v1/functions/mine/invocations": { id: "inv_1", state: "queued" },
	};
	const asked: string[] = [];
	const gateway = createServer((request, response) => {
		const what = `${request.method} ${request.url?.replace(/\?.*/, "")}`;
		asked.push(what);
		response
			.writeHead(request.method === "DELETE" ? 204 : 200, { "content-type": "application/json" })
			.end(JSON.stringify(answers[what] ?? {}));
	});
	await new Promise<void>((resolve) => gateway.listen(0, "127.0.0.1", resolve));
	const at = ["--url", `http://127.0.0.1:${(gateway.address() as AddressInfo).port}`, "--key", "good", "--project", "shop"];
	try {
		const said = async (...args: string[]) => (await berth(...at, ...args)).err;
		expect(await said("key", "create", "twin", "--scope", "read")).toContain("until `berth --project shop key revoke twin`");
		expect(await said("key", "revoke", "twin")).toBe("twin of the project shop is revoked.\n");
		expect(await said("invoke", "mine", "--async")).toContain("`berth --project shop invocations watch inv_1`");
		expect(await said("secret", "list")).toContain("`berth --project shop secret set <name>`");
		expect(asked).toHaveLength(4);
	} finally {
		await new Promise((resolve) => gateway.close(resolve));
	}
});

test("with --json a failure is one document on stdout, and nothing else is said", async () => {
	const { code, out, err } = await berth("--json", "--url", url, "--key", "good", "versions", "hello");
	expect([code, err]).toEqual([1, ""]);
	expect(JSON.parse(out)).toMatchObject({ error: { code: "function_not_found", detail: "no such luck" } });
});

test("with --json a command line that isn't understood is one, too", async () => {
	for (const args of [["list", "extra"], ["nonsense"], ["deploy"], []]) {
		const { code, out, err } = await berth("--json", ...args);
		expect([code, err]).toEqual([2, ""]);
		expect(JSON.parse(out)).toEqual({ error: { detail: expect.stringMatching(/^[^(]/) } });
	}
});

test.each([
	["rm", ""],
	["buildlog", ""],
	["invoke", ""],
	["network", "create", ""],
	["deploy", ""],
	["backup", ""],
	["rm", "@3"],
	["deploy", "x.ts", "--name", ""],
])("an empty name is said to be that, and nothing is asked: %j %j", async (...args) => {
	expect(await berth("--url", url, "--key", "good", ...args)).toMatchObject({
		code: 2,
		err: expect.stringMatching(/is empty|It is empty|Before the @/),
	});
});

test.each([
	[["schedules", "create", "hello"], "one of --cron, --every and --at"],
	[["schedules", "create", "hello", "--every", "1m", "--at", "5m"], "one of --cron, --every and --at"],
	[["dead-letters", "replay", "--all", "--function", "hello"], "--all is all of the project, and --function some of it"],
	[["dead-letters", "purge", "--all", "--since", "1h"], "--all is all of the project, and --since some of it"],
])("%j is refused in the words of the command line, and nothing is asked", async (args, words) => {
	expect(await berth("--url", url, "--key", "good", ...args)).toMatchObject({ code: 2, err: expect.stringContaining(words) });
});

test("a path and an image are one too many; a key with what no key has is the key's fault", async () => {
	const both = await berth("--url", url, "--key", "good", "deploy", "x.ts", "--image", "foo/x:1");
	expect(both).toMatchObject({ code: 2, err: expect.stringContaining("not both") });
	expect(await berth("--url", url, "--key", "a\nb", "list")).toMatchObject({ code: 2, err: expect.stringContaining("the API key") });
});

test("this machine's key isn't sent to another URL", async () => {
	const { code, err } = await berth("--url", url, "list");
	expect([code, err]).toEqual([3, expect.stringContaining("unauthorized")]);
});

test("-v says what was asked over HTTP", async () => {
	expect((await berth("-v", "--url", url, "--key", "good", "rm", "hello")).err).toContain(`DELETE ${url}/v1/functions/hello 404`);
});

test.each(["--at 3s", "--callback https://example.com/", "--wait"])(
	"invoke %s wants --async, and says so before anything is asked",
	async (given) => {
		const { code, err } = await berth("invoke", "hello", ...given.split(" "), "--url", "http://127.0.0.1:1", "--key", "any");
		expect(err).toContain(`${given.split(" ")[0]} goes with --async`);
		expect(code).toBe(EXIT.usage);
	},
);

test("a list of what is rare goes on where a page ended, and says how far it has looked when there was none", async () => {
	const asked: (string | null)[] = [];
	const pages = createServer((request, response) => {
		asked.push(new URL(request.url ?? "", "http://any").searchParams.get("cursor"));
		response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ invocations: [], cursor: `c${asked.length}` }));
	});
	await new Promise<void>((resolve) => pages.listen(0, "127.0.0.1", resolve));
	try {
		const there = ["--url", `http://127.0.0.1:${(pages.address() as AddressInfo).port}`, "--key", "good"];
		const { out, err } = await berth("invocations", "list", "--state", "queued", ...there);
		expect(asked).toEqual([null, ...Array.from({ length: 19 }, (_, at) => `c${at + 1}`)]);
		expect(out + err).toMatch(/None of the 40,000 that were looked at.*--cursor c20/s);
	} finally {
		await new Promise((resolve) => pages.close(resolve));
	}
});
