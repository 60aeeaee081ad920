import { createHmac } from "node:crypto";
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { json } from "../harness/functions.js";
import { send } from "../harness/raw-http.js";
import { sharedStack } from "../harness/shared-stack.js";

const stack = sharedStack();
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
			"hello",
			"hello-event",
			"hello-payload",
			"json-api",
			"python-hello",
			"python-page",
			"shell-hello",
			"webhook-receiver",
		]);
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

	it("cpu-bound counts primes, and refuses what it can't count", async () => {
		expect(json((await stack.client.invoke("cpu-bound", { json: { limit: 1000 } })).raw)).toMatchObject({ limit: 1000, primes: 168 });
		expect((await stack.client.invoke("cpu-bound", { json: { limit: 1 } })).outcome).toBe("handler_error");
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

	it("webhook-receiver takes what is signed, byte for byte, and refuses everything else", async () => {
		const body = '{ "type": "order.paid",  "n": 1.0 }';
		const signature = (text: string, secret = "change-me") => `sha256=${createHmac("sha256", secret).update(text).digest("hex")}`;
		const post = (text: string, signed?: string) =>
			open("webhook-receiver/", {
				method: "POST",
				body: text,
				...(signed === undefined ? {} : { headers: [["x-signature", signed]] as const }),
			});
		expect(json(await post(body, signature(body)))).toEqual({ received: "order.paid" });
		for (const wrong of [
			undefined,
			"",
			"sha256=",
			signature(body).slice(0, -2),
			signature(body, "other"),
			signature(`${body} `),
			`sha512=${"0".repeat(128)}`,
		]) {
			const refused = await post(body, wrong);
			expect([wrong, refused.status]).toEqual([wrong, 401]);
			expect(refused.body.toString()).not.toContain("order.paid");
		}
		expect((await open("webhook-receiver/")).status).toBe(405);
	});
});
