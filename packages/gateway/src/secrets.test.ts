import { SECRET_LIMITS } from "@berth/contracts";
import { closeRedis, openRedis } from "@berth/redis";
import { RedisServer } from "@berth/redis/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Stack, startStack } from "./testing/stack.js";

const VALUE = "sk_live_0123456789";

let server: RedisServer;
let stack: Stack;
beforeAll(async () => {
	// Uncompressed: what it holds is looked through.
	server = await RedisServer.start("--rdbcompression", "no");
	stack = await startStack(server.url);
});
afterAll(async () => {
	await stack.close();
	await server[Symbol.asyncDispose]();
});

const put = async (name: string, body: string, headers: Readonly<Record<string, string>> = {}) => {
	const answer = await stack.fetch(`/v1/secrets/${name}`, { method: "PUT", body, headers });
	return { status: answer.status, text: await answer.text() };
};
const bodyWith = (value: unknown) => JSON.stringify({ value });

test("a value goes in and doesn't come out: not in an answer, the list, the audit log, or what an idempotency key keeps", async () => {
	const made = await put("STRIPE_KEY", bodyWith(VALUE), { "idempotency-key": "once" });
	const again = await put("STRIPE_KEY", bodyWith(VALUE), { "idempotency-key": "once" });
	const replaced = await put("STRIPE_KEY", bodyWith(VALUE));
	expect([made.status, again.status, replaced.status]).toEqual([201, expect.any(Number), 200]);
	const list = await (await stack.fetch("/v1/secrets")).text();
	expect(JSON.parse(list)).toEqual({ secrets: [expect.objectContaining({ name: "STRIPE_KEY", functions: [] })] });
	const audit = await (await stack.fetch("/v1/audit")).text();
	expect(audit).toContain("/v1/secrets/STRIPE_KEY");
	const [redis] = await openRedis([{ url: server.url, use: "command", name: "test" }]);
	const dump = await Promise.all((await redis.keys("*")).map((key) => redis.dumpBuffer(key)));
	await closeRedis(redis);
	const held = Buffer.concat(dump.map((one) => one ?? Buffer.alloc(0))).toString("latin1");
	for (const text of [made.text, again.text, replaced.text, list, audit, held]) expect(text).not.toContain("sk_live");
});

test.each<[string, string, string, RegExp]>([
	["a name that is no variable's", "stripe-key", bodyWith(VALUE), /a letter or _/],
	["no value", "KEY", "{}", /value: text of 1 to 8192 bytes/],
	["an empty one", "KEY", bodyWith(""), /1 to 8192 bytes/],
	["one that is too long", "KEY", bodyWith("é".repeat(SECRET_LIMITS.valueBytes / 2 + 1)), /8192 bytes/],
	["a control character", "KEY", bodyWith("sk_live\u0000"), /control characters/],
	["a number", "KEY", bodyWith(5), /text of/],
	["another field", "KEY", '{"valeu":"sk_live_0"}', /did you mean value/],
	["what is no JSON", "KEY", `{"value": ${VALUE}}`, /isn't JSON as in/],
])("%s is refused, and nothing of the value is said", async (_, name, body, said) => {
	const { status, text } = await put(name, body);
	expect([status, text]).toEqual([400, expect.stringMatching(said)]);
	expect(text).not.toContain("sk_live");
});

test("a deploy names secrets once, beside the variables of env, and such that are there", async () => {
	const deploy = async (manifest: object) => {
		const body = JSON.stringify({ source: "export default () => 1", ...manifest });
		const answer = await stack.fetch("/v1/functions/f", { method: "PUT", body, headers: { "content-type": "application/json" } });
		return ((await answer.json()) as { readonly detail?: string }).detail;
	};
	expect(await deploy({ secrets: ["STRIPE_KEY", "STRIPE_KEY"] })).toMatch(/^secrets\.1: STRIPE_KEY is named more than once/);
	expect(await deploy({ secrets: ["STRIPE_KEY"], env: { STRIPE_KEY: "x" } })).toMatch(/^secrets\.0: STRIPE_KEY is a variable of env, too/);
	for (const name of ["PATH", "HOME", "NODE_OPTIONS", "LD_PRELOAD", "LD_LIBRARY_PATH"])
		expect(await deploy({ secrets: [name] })).toMatch(new RegExp(`^secrets\\.0: ${name} can't be a variable of a secret's: runtimes`));
	expect(await deploy({ secrets: ["BERTH_SOCKET"] })).toMatch(
		/^secrets\.0: BERTH_SOCKET can't be a variable: names that begin with BERTH_/,
	);
	expect(await deploy({ env: { A: "x", BERTH_SOCKET: "/x" } })).toMatch(/^env: BERTH_SOCKET isn't a function's to set/);
	expect(await deploy({ env: { PATH: "/function/code:/usr/bin:/bin", HOME: "/tmp/home" } })).toBeUndefined();
	expect(await deploy({ secrets: ["OTHER"] })).toMatch(/^secrets\.0: there is no secret OTHER/);
	expect(await deploy({ secrets: ["STRIPE_KEY"] })).toBeUndefined();
	const refused = await stack.fetch("/v1/secrets/STRIPE_KEY", { method: "DELETE" });
	expect([refused.status, await refused.json()]).toEqual([409, expect.objectContaining({ code: "secret_in_use", functions: ["f"] })]);
});

test("a secret that can't be a header isn't bound to one", async () => {
	await put("PEM", bodyWith("-----BEGIN KEY-----\nMIIEvQ"));
	const deploy = async (name: string) => {
		const bound = { name, host: "api.example.com", header: "authorization" };
		const manifest = { source: "export default () => 1", network: { allow: ["api.example.com"] }, secrets: [bound] };
		const headers = { "content-type": "application/json" };
		return (await stack.fetch("/v1/functions/bound", { method: "PUT", body: JSON.stringify(manifest), headers })).json();
	};
	const problem = await deploy("PEM");
	expect(problem).toMatchObject({ code: "invalid_manifest", issues: [{ field: "secrets.0.name" }] });
	expect(problem).toMatchObject({
		detail: expect.stringMatching(/PEM can't be the header authorization of api\.example\.com: it has a line break/),
	});
	expect(await deploy("NO_SUCH_SECRET")).toMatchObject({ code: "secret_not_found" });
	expect((await stack.fetch("/v1/secrets/PEM", { method: "DELETE" })).status).toBe(204);
});

test.each<[string, object, object | string, RegExp]>([
	["no list of hosts", {}, "none", /^secrets\.0\.host: .*"network": \{"allow": \["api\.example\.com"\]\}/],
	["another host in it", {}, { allow: ["other.example.com"] }, /^secrets\.0\.host: network\.allow doesn't have api\.example\.com:443/],
	["another port", { host: "api.example.com:8443" }, { allow: ["api.example.com"] }, /doesn't have api\.example\.com:8443/],
	["a wildcard", { host: "*.example.com" }, { allow: ["*.example.com"] }, /^secrets\.0/],
	["an address", { host: "8.8.8.8" }, { allow: ["8.8.8.8"] }, /^secrets\.0/],
	["a header of the connection", { header: "Transfer-Encoding" }, { allow: ["api.example.com"] }, /^secrets\.0/],
	["a prefix that ends the line", { prefix: "a\r\nx: y" }, { allow: ["api.example.com"] }, /^secrets\.0/],
])("a secret isn't bound to a host with %s", async (_, changes, network, said) => {
	const bound = { name: "STRIPE_KEY", host: "api.example.com", header: "authorization", ...changes };
	const body = JSON.stringify({ source: "export default () => 1", network, secrets: [bound] });
	const answer = await stack.fetch("/v1/functions/bound", { method: "PUT", body, headers: { "content-type": "application/json" } });
	expect([answer.status, ((await answer.json()) as { readonly detail: string }).detail]).toEqual([400, expect.stringMatching(said)]);
});

test("where a secret is sent to is listed with it", async () => {
	const secrets = [{ name: "STRIPE_KEY", host: "API.example.com", header: "Authorization", prefix: "Bearer " }];
	const body = JSON.stringify({ source: "export default () => 1", network: { allow: ["*.example.com"] }, secrets });
	await stack.fetch("/v1/functions/bound", { method: "PUT", body, headers: { "content-type": "application/json" } });
	const { secrets: listed } = (await (await stack.fetch("/v1/secrets")).json()) as { readonly secrets: readonly object[] };
	expect(listed).toEqual([
		expect.objectContaining({
			name: "STRIPE_KEY",
			functions: ["bound", "f"],
			bindings: [{ function: "bound", host: "api.example.com", header: "authorization" }],
		}),
	]);
});
