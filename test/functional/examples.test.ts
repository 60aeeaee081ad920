import { execFile } from "node:child_process";
import { readdirSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../harness/eventually.js";
import { json } from "../harness/functions.js";
import { send } from "../harness/raw-http.js";
import { sharedStack } from "../harness/shared-stack.js";

const stack = await sharedStack();
const EXAMPLES = fileURLToPath(new URL("../../examples/", import.meta.url));
const NAMES = readdirSync(EXAMPLES, { withFileTypes: true })
	.filter((entry) => entry.isDirectory())
	.map(({ name }) => name);

/** Tried where programs are, and an index: test/functional/custom.test.ts compiles the one, python-packages.test.ts installs for the other. */
const ELSEWHERE = ["c-hello", "python-page"];

/** Deploys an example as its README says: with the command line, as it stands. */
async function deployExample(name: string): Promise<void> {
	const { code, stdout, stderr } = await stack.berth("--json", "deploy", `${EXAMPLES}${name}`);
	if (code !== 0) throw new Error(`${stdout}${stderr}`);
	expect(JSON.parse(stdout)).toMatchObject({ version: { function: name, state: "ready" } });
}

/** Makes a hook as its README says. @param secret of its own */
async function hookOf(name: string, options: readonly string[], secret = ""): Promise<{ readonly secret: string }> {
	const { code, stdout, stderr } = await stack.berthGiven(secret, "--json", "hooks", "create", name, ...options);
	if (code !== 0) throw new Error(`${stdout}${stderr}`);
	return JSON.parse(stdout) as { secret: string };
}

/** Signs a body and delivers it, with the command line; how that was answered. */
async function sendTo(
	hook: string,
	body: string,
	secret: string,
	options: readonly string[] = [],
): Promise<{ status: number; body: unknown }> {
	const directory = await mkdtemp(join(tmpdir(), "delivery-"));
	try {
		const file = join(directory, "body.json");
		await writeFile(file, body);
		const { stdout } = await stack.berthGiven(secret, "--json", "hooks", "send", file, "--to", hook, "--secret-stdin", ...options);
		const answer = JSON.parse(stdout) as { status: number; body: string };
		return { status: answer.status, body: JSON.parse(answer.body) };
	} finally {
		await rm(directory, { recursive: true });
	}
}

const open = (path: string, request: { method?: string; body?: string; headers?: readonly (readonly [string, string])[] } = {}) =>
	send(stack, { path: `/fn/default/${path}`, key: null, ...request });

describe("an example", () => {
	beforeAll(async () => {
		for (const name of NAMES) if (!ELSEWHERE.includes(name)) await deployExample(name);
	});

	it("is there for each of the kinds that the README names", () => {
		expect(NAMES.sort()).toEqual([
			"c-hello",
			"cpu-bound",
			"fan-out",
			"github-webhook",
			"hello",
			"hello-event",
			"hello-payload",
			"json-api",
			"nightly-report",
			"pipeline",
			"pipeline-word-count",
			"python-hello",
			"python-page",
			"shell-hello",
			"stripe-events",
			"token-stream",
		]);
	});

	it("token-stream answers word by word, as events", async () => {
		const answer = await open("token-stream/?ms=2");
		expect(answer.headers).toMatchObject({ "content-type": "text/event-stream", trailer: "Berth-Outcome" });
		const tokens = [...answer.body.toString().matchAll(/^id: \d+\ndata: (.+)\n$/gm)].map(
			([, data]) => (JSON.parse(data as string) as { token: string }).token,
		);
		expect(tokens.join(" ")).toBe("A stream is an answer that begins before its end is known.");
		expect(answer.body.toString()).toMatch(/\n\nevent: done\ndata: {}\n\n$/);
	});

	it("hello greets over HTTP, whoever asks", async () => {
		expect(json(await open("hello/?name=Ada"))).toEqual({ hello: "Ada", path: "/" });
		const body = { method: "POST", headers: [["content-type", "application/json"]] as const, body: '{"name":"Bo"}' };
		expect(json(await open("hello/there", body))).toEqual({ hello: "Bo", path: "/there" });
	});

	it("python-hello greets over HTTP, whoever asks", async () => {
		expect(json(await open("python-hello/?name=Ada"))).toEqual({ hello: "Ada", text: "Hello, Ada!" });
	});

	it.each(["hello-payload", "hello-event", "python-hello", "shell-hello"])("%s greets whoever its payload names", async (name) => {
		const { raw } = await stack.client.invoke(name, { json: { name: "Ada" } });
		expect(json(raw)).toMatchObject({ hello: "Ada" });
		expect(json((await stack.client.invoke(name)).raw)).toMatchObject({ hello: "world" });
	});

	it("pipeline has pipeline-word-count count each part of a text, and adds up", async () => {
		const text = `${"to be ".repeat(4000)}or not`;
		const { raw } = await stack.client.invoke("pipeline", { json: { text } });
		const answer = json<{ parts: number; words: object; invocations: string[] }>(raw);
		expect(answer).toMatchObject({ parts: 3, words: { be: 4000, to: 4000, not: 1, or: 1 } });
		expect(await stack.client.invocation(answer.invocations[2] as string)).toMatchObject({ parent: { function: "pipeline" } });
	});

	it("cpu-bound counts primes, and refuses what it can't count", async () => {
		expect(json((await stack.client.invoke("cpu-bound", { json: { limit: 1000 } })).raw)).toMatchObject({ limit: 1000, primes: 168 });
		expect((await stack.client.invoke("cpu-bound", { json: { limit: 1 } })).outcome).toBe("handler_error");
	});

	it("fan-out has many pieces of work done in the background, and says how far they are", async () => {
		const env = { ...process.env, BERTH_URL: stack.url, BERTH_API_KEY: stack.key };
		const { stdout, stderr } = await promisify(execFile)(process.execPath, [`${EXAMPLES}fan-out/fan-out.mjs`, "100"], { env });
		expect(JSON.parse(stdout)).toEqual({ count: 100, primes: 25, failed: 0 });
		expect(stderr).toContain("settled 100/100");
	});

	it("json-api keeps notes over several requests, and answers in problems when it has to", async () => {
		const made = await open("json-api/notes", { method: "POST", body: '{"text":"milk"}', headers: [["content-type", "application/json"]] });
		expect(made.status).toBe(201);
		const { id } = json<{ id: string }>(made);
		expect(json(await open(`json-api/notes/${id}`))).toEqual({ id, text: "milk" });
		expect(json<{ notes: unknown[] }>(await open("json-api/notes")).notes).toContainEqual({ id, text: "milk" });
		expect((await open(`json-api/notes/${id}`, { method: "DELETE" })).status).toBe(204);
		const gone = await open(`json-api/notes/${id}`);
		expect([gone.status, gone.headers["content-type"]]).toEqual([404, "application/problem+json"]);
		expect((await open("json-api/notes", { method: "POST", body: "{" })).status).toBe(400);
	});

	it("github-webhook answers a push that its hook has verified, and nobody else", async () => {
		const hook = await hookOf("github-webhook", ["--scheme", "github", "--mode", "sync"]);
		const sent = await sendTo("github-webhook/github", '{"ref":"refs/heads/main","commits":[{"message":"Fix it"}]}', hook.secret, [
			"--event",
			"push",
		]);
		expect(sent).toEqual({ status: 200, body: { branch: "main", commits: 1 } });
		expect((await sendTo("github-webhook/github", "{}", "another secret", ["--event", "push"])).status).toBe(401);
		expect(
			(
				await open("github-webhook/", {
					method: "POST",
					body: "{}",
					headers: [
						["x-github-event", "push"],
						["berth-hook", "github"],
					],
				})
			).status,
		).toBe(401);
		const { raw } = await stack.client.invoke("github-webhook", { json: {} });
		expect(raw.status).toBe(403);
	});

	it("nightly-report reports on the day before the one it was due on", async () => {
		const made = await stack.berth("--json", "schedules", "create", "nightly-report", "--cron", "30 2 * * *", "--name", "nightly");
		expect([made.code, JSON.parse(made.stdout)]).toMatchObject([0, { state: "waiting", next: { length: 5 } }]);
		const { invocation } = JSON.parse((await stack.berth("--json", "schedules", "run", "nightly-report", "nightly")).stdout) as {
			invocation: string;
		};
		await eventually(async () =>
			expect(await stack.client.invocation(invocation)).toMatchObject({ result: { json: { shop: "all", orders: 8 } } }),
		);
	});

	it("stripe-events takes an event once, in the background", async () => {
		await hookOf("stripe-events", ["--scheme", "stripe", "--event", "invoice.*", "--secret-stdin"], "whsec_made_up");
		const paid = '{"id":"evt_1","type":"invoice.paid","data":{"object":{"id":"in_1","amount_paid":4200,"currency":"eur"}}}';
		const first = await sendTo("stripe-events/stripe", paid, "whsec_made_up");
		expect(first.status).toBe(202);
		expect(await sendTo("stripe-events/stripe", paid, "whsec_made_up")).toEqual(first);
		const { invocation } = first.body as { invocation: string };
		await eventually(async () => expect(await stack.client.invocation(invocation)).toMatchObject({ result: { json: { paid: "in_1" } } }));
	});
});
