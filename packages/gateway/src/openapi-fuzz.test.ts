import { setTimeout as pause } from "node:timers/promises";
import { DAY_MS, type NewApiKey, SCOPES } from "@berth/contracts";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Asker, faultIn, fuzz, type Secrets } from "./testing/fuzzing.js";
import { type Document, type Known, requestsOf } from "./testing/openapi-requests.js";
import { type OwnStack, startOwnStack } from "./testing/own-stack.js";
import { mirror } from "./testing/settlements.js";

/** Requests, and how many of them are under way at the same time. */
const COUNT = process.env["TEST_LONG"] === "1" ? 100_000 : 10_000;
const AT_ONCE = 50;
/** How often who is told that it isn't served now comes again, and when, milliseconds. */
const [AGAIN, AGAIN_MS] = [3, 300];
/** What nodes answer, of which there is only one here, and none that works. */
const ELSEWHERE = new Set(["/v1/images/push", "/v1/images/pull"]);
const CANARY = "wzxcanary";

let stack: OwnStack;
let keys: readonly string[];
let known: Known;
beforeAll(async () => {
	stack = await startOwnStack({ hello: {}, open: { public: true } }, { idempotency: { ms: DAY_MS, bytes: 1e9 } });
	stack.onInvocation(mirror);
	keys = await Promise.all(SCOPES.toReversed().map(async (scope) => (await made(`fuzz-${scope}`, [scope])).key));
	known = await whatIsThere();
	await makeRival();
});
afterAll(() => stack?.close());

const made = (name: string, scopes: readonly string[], project = "default") =>
	sent<NewApiKey>("POST", "/v1/keys", { name, scopes }, { "berth-project": project });

async function sent<Answered>(method: string, path: string, body: object, headers: Record<string, string> = {}): Promise<Answered> {
	const init = { method, body: JSON.stringify(body), headers: { "content-type": "application/json", ...headers } };
	const answer = await stack.fetch(path, init);
	const text = await answer.text();
	expect([path, answer.status < 300, text]).toEqual([path, true, text]);
	return (text === "" ? {} : JSON.parse(text)) as Answered;
}

/** One of everything, so that requests find something. */
async function whatIsThere(): Promise<Known> {
	const { id } = await sent<{ id: string }>("POST", "/v1/functions/hello/invocations?mode=async", {});
	const hook = await sent<{ name: string; path: string }>("POST", "/v1/functions/hello/hooks", { scheme: "none", name: "open" });
	await sent("PUT", "/v1/networks/net", {});
	await sent("PUT", "/v1/volumes/vol", { sizeMiB: 16 });
	const dead = `inv_${"0".repeat(26)}`;
	return {
		name: ["hello", "open", "hello@live", "hello@1", "net", "vol", "made", "other"],
		project: ["default", "rival", "nothere"],
		id: [id, dead, hook.path.split("/").at(-1) as string],
		number: ["1", "2"],
		alias: ["live", "next"],
		hook: [hook.name],
		schedule: ["nightly"],
		host: ["registry.npmjs.org", "nothere.invalid"],
		rest: ["a", "a/b/c", ""],
		event: [`evt_${"0".repeat(26)}`],
	};
}

/** Another project, with things whose names and content show that they are its own. */
async function makeRival(): Promise<void> {
	const headers = { "berth-project": "rival" };
	await sent("PUT", "/v1/projects/rival", {});
	await sent("PUT", `/v1/functions/${CANARY}?wait=true`, { source: `export default () => "${CANARY}"`, env: { A: CANARY } }, headers);
	await sent("POST", `/v1/functions/${CANARY}/invocations?mode=async`, { payload: CANARY }, headers);
	await sent("PUT", `/v1/networks/${CANARY}`, {}, headers);
	await made(CANARY, ["admin"], "rival");
}

test(
	`${COUNT} requests that the document leads to, valid, nearly valid and not at all, have answers that it names`,
	async () => {
		const { paths } = (await (await stack.fetch("/openapi.json")).json()) as Document;
		const document = { paths: Object.fromEntries(Object.entries(paths).filter(([path]) => !ELSEWHERE.has(path))) };
		const secrets: Secrets = {
			"a key of ours": new RegExp([stack.key, ...keys].join("|")),
			"what is another project's": new RegExp(CANARY),
			"a stack trace or a path of ours": /\n\s+at |\\n\s+at |node_modules|\/src\/|\/dist\//,
		};
		const statuses = new Map<number, number>();
		using asker = new Asker(stack.url, keys);
		await fuzz(
			fc.array(requestsOf(document, known, keys.length), { minLength: AT_ONCE, maxLength: AT_ONCE }),
			COUNT / AT_ONCE,
			async (requests) => {
				// Requests that remove it are meant to find it, too.
				await stack.fetch("/v1/functions/hello", { method: "PUT", body: '{"source":"export default () => 1"}' });
				await Promise.all(
					requests.map(async (asked) => {
						const ask = () =>
							asker.ask(asked).catch((cause: unknown) => {
								throw new Error(`no answer for ${JSON.stringify(asked)}`, { cause });
							});
						let answer = await ask();
						// On a machine that is busy a heartbeat comes late: who is told to come again does, and has to be served.
						for (let again = 0; again < AGAIN && answer.status === 503 && answer.headers["retry-after"] !== undefined; again++) {
							await pause(AGAIN_MS);
							answer = await ask();
						}
						statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
						const fault = faultIn(asked, answer, document, secrets);
						const body = asked.body && new TextDecoder().decode(asked.body);
						if (fault !== undefined)
							throw new Error(
								`${fault}: ${JSON.stringify({ ...asked, body })} was answered ${answer.status} ${answer.body.slice(0, 2000)}`,
							);
					}),
				);
			},
		);
		// Not all of them are refused at the door.
		for (const status of [200, 201, 202, 204, 400, 401, 403, 404, 405, 415])
			expect([status, statuses.get(status) ?? 0]).toEqual([status, expect.toSatisfy((count) => count > 0)]);
		// And it serves as before.
		expect((await stack.fetch("/readyz")).status).toBe(200);
		await stack.deploy("after", { public: true });
		expect((await fetch(`${stack.url}/fn/default/after`)).status).toBe(200);
	},
	COUNT * 20,
);
