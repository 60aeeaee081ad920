import { type Client, createClient } from "@berth/client";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { freshName } from "../harness/functions.js";
import { sharedStack } from "../harness/shared-stack.js";

const stack = await sharedStack();

/** What one project has, each by a name that nothing else has; and the same of nothing. */
interface Names {
	readonly project: string;
	readonly function: string;
	readonly hook: string;
	readonly schedule: string;
	readonly network: string;
	readonly volume: string;
	readonly key: string;
	readonly alias: string;
	readonly invocation: string;
}

interface Operation {
	readonly security?: readonly Readonly<Record<string, readonly string[]>>[];
}

const { paths } = (await (await fetch(`${stack.url}/openapi.json`)).json()) as {
	paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
};
const guarded = Object.entries(paths).flatMap(([path, methods]) =>
	Object.entries(methods).flatMap(([method, { security }]) =>
		security?.every((one) => "key" in one) ? [[method.toUpperCase(), path] as const] : [],
	),
);

const fresh = (): Omit<Names, "invocation"> => ({
	project: freshName("project"),
	function: freshName("function"),
	hook: freshName("hook"),
	schedule: freshName("schedule"),
	network: freshName("network"),
	volume: freshName("volume"),
	key: freshName("key"),
	alias: freshName("alias"),
});

const stranger = freshName("stranger");
const nothing: Names = { ...fresh(), invocation: `inv_${"0".repeat(26)}` };
let theirs: Names;
let owner: Client;
/** An admin's, of another project. */
let key: string;
let sandbox: string;

beforeAll(async () => {
	const made = fresh();
	for (const project of [made.project, stranger]) await stack.client.makeProject(project);
	owner = createClient({ url: stack.url, key: stack.key, project: made.project });
	await owner.makeNetwork(made.network);
	await owner.makeVolume(made.volume, { sizeMiB: 16 });
	await owner.makeApiKey({ name: made.key, scopes: ["read"] });
	await owner.deploy(made.function, { source: "export default () => 'theirs'" }, { wait: true });
	await owner.setAlias(made.function, made.alias, { weights: { 1: 100 } });
	await owner.makeHook(made.function, { name: made.hook, scheme: "token" });
	await owner.makeSchedule(made.function, { name: made.schedule, cron: "0 0 1 1 *" });
	const answer = await owner.invoke(made.function, { json: {} });
	if (answer.outcome !== "succeeded") throw new Error("the function that is to be reached can't be invoked");
	theirs = { ...made, invocation: answer.id };
	sandbox = (await owner.sandboxes())[0]?.id ?? "";
	const others = createClient({ url: stack.url, key: stack.key, project: stranger });
	key = (await others.makeApiKey({ name: "lead", scopes: ["admin"] })).key;
	await others.close();
});

afterAll(async () => {
	await owner.remove(theirs.function);
	await owner.removeNetwork(theirs.network);
	await owner.removeVolume(theirs.volume);
	await owner.close();
	for (const project of [theirs.project, stranger]) await stack.client.removeProject(project);
	expect((await ask("GET", "/v1/functions", key)).status).toBe(401);
});

async function ask(method: string, path: string, token?: string, headers: Readonly<Record<string, string>> = {}) {
	const authorization: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` };
	const body = method === "GET" || method === "DELETE" ? {} : { body: "[]" };
	const sent = { "content-type": "application/json", accept: "application/json", ...authorization, ...headers };
	const answer = await fetch(stack.url + path, { method, ...body, headers: sent });
	return { status: answer.status, text: await answer.text() };
}

function pathOf(path: string, names: Names): string {
	const [, , collection = ""] = path.split("/");
	const name = { functions: names.function, networks: names.network, volumes: names.volume, keys: names.key, projects: names.project };
	return path
		.replace("{name}", name[collection as keyof typeof name] ?? names.function)
		.replace("{alias}", names.alias)
		.replace("{hook}", names.hook)
		.replace("{schedule}", names.schedule)
		.replace("{number}", "1")
		.replace("{event}", `evt_${"0".repeat(26)}`)
		.replace("{id}", names.invocation)
		.replace("{host}", "registry.npmjs.org");
}

/** An answer without the names that were asked for, and without what is every answer's own. */
function without(names: Names, { status, text }: { status: number; text: string }): object {
	const bare = Object.entries(names).reduce((left, [what, name]) => left.replaceAll(name, `<${what}>`), text);
	return { status, text: bare.replace(/urn:berth:request:req_\w+/g, "").replace(/"(at|createdAt|retiredAt)":"[^"]*"/g, "") };
}

describe("without a key of its project nothing can be had", () => {
	// First, as what the stranger asks for is in the log of its own project.
	test.each(guarded.filter(([, path]) => !path.includes("{")))("%s %s", async (method, path) => {
		expect(await ask(method, path)).toMatchObject({ status: 401 });
		const { text } = await ask(method, path, key);
		for (const name of Object.values(theirs)) expect(text).not.toContain(name);
	});

	test.each(guarded.filter(([, path]) => path.includes("{")))("%s %s", async (method, path) => {
		expect(await ask(method, pathOf(path, theirs))).toMatchObject({ status: 401 });
		const [there, not] = [await ask(method, pathOf(path, theirs), key), await ask(method, pathOf(path, nothing), key)];
		expect(without(theirs, there)).toEqual(without(nothing, not));
	});

	test("nor by naming the project, which isn't told from one that isn't there", async () => {
		const [there, not] = [theirs, nothing].map(async (names) => {
			return without(names, await ask("GET", "/v1/functions", key, { "berth-project": names.project }));
		});
		expect(await there).toEqual(await not);
		expect(await there).toMatchObject({ status: 404 });
	});

	test("nor at a function's own URL", async () => {
		for (const token of [undefined, key]) {
			const [there, not] = [theirs, nothing].map(async (names) => {
				return without(names, await ask("GET", `/fn/${theirs.project}/${names.function}`, token));
			});
			expect(await there).toEqual(await not);
			expect((await ask("GET", `/fn/${theirs.project}/${theirs.function}`, token)).status).toBe(token === undefined ? 401 : 404);
		}
	});

	test("nor can its sandboxes be killed, or its function's be retired", async () => {
		for (const command of [
			{ kind: "kill", sandbox },
			{ kind: "evict", function: theirs.function },
		]) {
			const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
			const answer = await fetch(`${stack.url}/v1/nodes/commands`, { method: "POST", body: JSON.stringify(command), headers });
			expect(await answer.json()).toEqual({ affected: 0 });
		}
		expect((await owner.sandboxes()).map(({ id }) => id)).toEqual([sandbox]);
	});

	test("and all of it is there as it was", async () => {
		expect((await owner.invoke(theirs.function, { json: {} })).outcome).toBe("succeeded");
		expect((await owner.networks()).map(({ name }) => name)).toEqual([theirs.network]);
		expect((await owner.volumes()).map(({ name, functions }) => [name, functions])).toEqual([[theirs.volume, []]]);
		expect((await owner.apiKeys()).map(({ name }) => name)).toEqual([theirs.key]);
		expect((await owner.hooks(theirs.function)).map(({ name }) => name)).toEqual([theirs.hook]);
		expect((await owner.schedules(theirs.function)).map(({ name }) => name)).toEqual([theirs.schedule]);
	});
});

test("a project that has something isn't removed, and the name of one that was isn't taken again", async () => {
	await expect(stack.client.removeProject(theirs.project)).rejects.toMatchObject({ problem: { code: "project_in_use" } });
	const gone = freshName("gone");
	await stack.client.makeProject(gone);
	await stack.client.removeProject(gone);
	await expect(stack.client.removeProject(gone)).rejects.toMatchObject({ problem: { code: "project_not_found" } });
	await expect(stack.client.makeProject(gone)).rejects.toMatchObject({ problem: { code: "invalid_name" } });
	await expect(stack.client.removeProject("default")).rejects.toMatchObject({ problem: { code: "project_in_use" } });
});
