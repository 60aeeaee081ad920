import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { RawAnswer } from "@berth/client";
import { afterAll, describe, expect, it } from "vitest";
import { eventually } from "../harness/eventually.js";
import { type Deployed, deploy, freshName, header, json } from "../harness/functions.js";
import { sharedStack } from "../harness/shared-stack.js";

const stack = await sharedStack();
afterAll(() => stack.client.close());

/** A source that answers with its own number. */
const saying = (number: number) => `export default { fetch: () => Response.json(${number}) };`;
const redeploy = (name: string, number: number) => stack.client.deploy(name, { source: saying(number) });

/** Deploys versions 1 to n of a function, each of which answers with its number. */
async function versions(count: number, options: { readonly public?: boolean } = {}): Promise<Deployed> {
	const deployed = await deploy(stack, { source: saying(1), ...options });
	for (let number = 2; number <= count; number++) await stack.client.deploy(deployed.name, { source: saying(number), ...options });
	return deployed;
}

const versionOf = (answer: RawAnswer) => Number(header(answer, "berth-version"));

/** Clients that ask a function's own URL again and again, and what they were answered. */
class Load {
	readonly failures: string[] = [];
	readonly #running: readonly Promise<void>[];
	#answered: number[] = [];
	#stopped = false;

	constructor(deployed: Deployed, clients = 6) {
		this.#running = Array.from({ length: clients }, () => this.#askOn(deployed));
	}

	/** What is answered from now on, once there are so many more answers. */
	async answers(count: number): Promise<readonly number[]> {
		this.#answered = [];
		const answered = this.#answered;
		await eventually(() => expect(answered.length).toBeGreaterThanOrEqual(count), 60_000);
		return answered;
	}

	async stop(): Promise<void> {
		this.#stopped = true;
		await Promise.all(this.#running);
	}

	async #askOn(deployed: Deployed): Promise<void> {
		while (!this.#stopped) {
			// Where an answer goes was decided after it was asked for: one that was asked for before a move may still be of before.
			const answered = this.#answered;
			try {
				const answer = await deployed.request();
				const said = Number(answer.body);
				if (answer.status !== 200 || said !== versionOf(answer)) this.failures.push(`${answer.status} ${answer.body}`);
				answered.push(said);
			} catch (error) {
				this.failures.push(String(error));
			}
		}
	}
}

describe("under load", () => {
	it("no invocation fails while a function is deployed, split, promoted and rolled back, and each goes where it should", async () => {
		const deployed = await versions(1);
		const { name } = deployed;
		const load = new Load(deployed);
		try {
			expect(new Set(await load.answers(100))).toEqual(new Set([1]));
			await redeploy(name, 2);
			expect(new Set(await load.answers(100))).toEqual(new Set([2]));

			await stack.client.setAlias(name, "live", { weights: { 1: 20, 2: 80 } });
			const split = await load.answers(2000);
			const ones = split.filter((number) => number === 1).length / split.length;
			expect(new Set(split)).toEqual(new Set([1, 2]));
			// Six standard deviations of 2,000 draws at 20 %.
			expect(Math.abs(ones - 0.2)).toBeLessThan(0.054);

			const { live } = await redeploy(name, 3);
			expect(live).toMatchObject({ weights: { 1: 20, 2: 80 }, follows: false });
			expect(new Set(await load.answers(200))).toEqual(new Set([1, 2]));

			await stack.client.setAlias(name, "live", { follows: true });
			expect(new Set(await load.answers(100))).toEqual(new Set([3]));
			expect(await stack.client.rollBack(name)).toMatchObject({ weights: { 2: 100 } });
			expect(new Set(await load.answers(100))).toEqual(new Set([2]));
		} finally {
			await load.stop();
		}
		expect(load.failures).toEqual([]);
	});

	it("ten deploys in a row fail none", async () => {
		const deployed = await versions(1);
		const load = new Load(deployed);
		try {
			for (let number = 2; number <= 11; number++) await redeploy(deployed.name, number);
			expect(new Set(await load.answers(50))).toEqual(new Set([11]));
		} finally {
			await load.stop();
		}
		expect(load.failures).toEqual([]);
	});
});

describe("name@alias and name@version", () => {
	it("invoke what they name: by name, in the background, and at the function's own URL", async () => {
		const { name } = await versions(3);
		await stack.client.setAlias(name, "stable", { weights: { 2: 100 } });
		for (const [target, expected] of [
			[name, 3],
			[`${name}@live`, 3],
			[`${name}@stable`, 2],
			[`${name}@1`, 1],
			[`${name}@v1`, 1],
		] as const) {
			const invoked = await stack.client.invoke(target);
			expect([target, json(invoked.raw), versionOf(invoked.raw)]).toEqual([target, expected, expected]);
			expect(json(await stack.client.request("default", target, { path: "/any?thing" }))).toBe(expected);
		}
		const { id } = await stack.client.invokeAsync(`${name}@stable`);
		await eventually(async () => expect(await stack.client.invocation(id)).toMatchObject({ version: 2, outcome: "succeeded" }));
	});

	it("are no way past a key: versions by number want one, what an alias leads to is as public as it says", async () => {
		const { name } = await versions(2, { public: true });
		await stack.client.setAlias(name, "stable", { weights: { 1: 100 } });
		const stranger = async (target: string) => (await fetch(`${stack.url}/fn/default/${target}`)).status;
		expect([await stranger(name), await stranger(`${name}@stable`)]).toEqual([200, 200]);
		expect([await stranger(`${name}@1`), await stranger(`${name}@9`), await stranger(`${name}@nothere`)]).toEqual([401, 401, 401]);
		expect((await stack.client.request("default", `${name}@1`)).status).toBe(200);
	});
});

describe("a version that an alias leads to", () => {
	it("can't be deleted; once nothing leads there it is gone with its source, and the others answer", async () => {
		const { name } = await versions(3);
		await stack.client.setAlias(name, "stable", { weights: { 1: 50, 2: 50 } });
		await expect(stack.client.removeVersion(name, 1)).rejects.toMatchObject({ problem: { code: "version_in_use", aliases: ["stable"] } });
		await stack.client.removeAlias(name, "stable");
		await stack.client.removeVersion(name, 1);
		await expect(stack.client.version(name, 1)).rejects.toMatchObject({ problem: { code: "version_not_found" } });
		await expect(stack.client.invoke(`${name}@1`)).rejects.toMatchObject({ problem: { code: "version_not_found" } });
		expect((await stack.client.versions(name)).map(({ number }) => number)).toEqual([3, 2]);
		expect(json((await stack.client.invoke(name)).raw)).toBe(3);
	});
});

describe("an alias that is asked for in a way that can't be", () => {
	const put = (name: string, body: unknown) =>
		fetch(`${stack.url}/v1/functions/${name}/aliases/live`, {
			method: "PUT",
			headers: { authorization: `Bearer ${stack.key}`, "content-type": "application/json" },
			body: JSON.stringify(body),
		});

	it.each([
		[{ weights: { 1: 90 } }, "weights"],
		[{ weights: { 1: 60, 2: 60 } }, "weights"],
		[{ weights: { 1: 99.5, 2: 1 } }, "weights.1"],
		[{ weights: { 1: 100, 2: 0 } }, "weights.2"],
		[{ weights: { 1: 90, 2: -10 } }, "weights.2"],
		[{ weights: { "01": 100 } }, "weights.01"],
		[{ weights: { one: 100 } }, "weights.one"],
		[{ weights: [100] }, "weights"],
		[{ weights: Object.fromEntries(Array.from({ length: 20 }, (_, i) => [i + 1, 5])) }, "weights"],
		[{ follows: false }, "follows"],
		[{ weight: { 1: 100 } }, "weight"],
		[{ weights: { 1: 100 }, follows: true }, "body"],
		[{}, "body"],
		[[], "body"],
	])("is told which field is wrong: %j", async (body, field) => {
		const { name } = await shared;
		const answer = await put(name, body);
		const problem = (await answer.json()) as { readonly issues: readonly { readonly field: string }[] };
		expect(problem).toMatchObject({ status: 400, code: "invalid_request" });
		expect(problem.issues.map((issue) => issue.field)).toContain(field);
	});

	const shared = versions(2);
	afterAll(async () => {
		const { name } = await shared;
		expect(await stack.client.aliases(name)).toMatchObject([{ name: "live", weights: { 2: 100 }, follows: true }]);
	});
});

describe("the command line", () => {
	const berth = async (...args: readonly string[]) => {
		const { code, stdout, stderr } = await stack.berth(...args);
		return { code, said: `${stdout}${stderr}` };
	};

	it("splits, rolls back, follows again, and shows all of it", async () => {
		const { name } = await versions(2);
		expect(await berth("alias", "set", name, "live", "v1=90", "v2=10")).toMatchObject({
			code: 0,
			said: expect.stringContaining(`${name}@live leads to v1 90 %, v2 10 %`),
		});
		await berth("alias", "set", name, "staging", "latest");
		expect((await berth("alias", "list", name)).said).toMatch(/^live +v1 90 %, v2 10 % +leave it +v2 .*\nstaging +v2 +move it /m);
		expect((await berth("versions", name)).said).toMatch(/^ +2 +ready +live 10 %, staging .*\n +1 +ready +live 90 % /m);
		expect((await berth("rollback", name)).said).toContain(`${name}@live leads to v2`);
		expect((await berth("rollback", name)).said).toContain(`${name}@live leads to v1`);
		expect(await berth("rollback", name)).toMatchObject({ code: 1, said: expect.stringContaining("nothing_to_roll_back") });
		expect((await berth("invoke", `${name}@staging`)).said.trim()).toBe("2");
		expect((await berth("list")).said).toMatch(new RegExp(`^${name} +v1 +v2 `, "m"));
		await berth("alias", "set", name, "live", "latest");
		expect((await berth("rm", `${name}@1`)).code).toBe(0);
		expect(await berth("rm", `${name}@2`)).toMatchObject({ code: 1, said: expect.stringContaining("version_in_use") });
		expect((await berth("alias", "rm", name, "staging")).code).toBe(0);
		expect(JSON.parse((await stack.berth("--json", "alias", "list", name)).stdout)).toMatchObject({ aliases: [{ name: "live" }] });
	});

	it("inspects a version: digest, layers, sizes, base", async () => {
		const { name } = await versions(2);
		const { image } = await stack.client.version(name, 1);
		if (image === undefined) throw new Error("it isn't ready");
		const { said } = await berth("inspect", `${name}@1`);
		for (const digest of [image.digest, image.base.digest, ...[...image.base.layers, ...image.layers].map((layer) => layer.digest)]) {
			expect(said).toContain(digest);
		}
		expect(said).toMatch(/sha256:[0-9a-f]{64} +[\d.]+ (?:KiB|MiB) +base/);
		expect((await berth("inspect", name)).said).toMatch(/version +2, ready; live/);
		expect(await berth("inspect", `${name}@nothere`)).toMatchObject({ code: 1, said: expect.stringContaining("no alias nothere") });
	});
});

it("where aliases lead is also on disk, for the day on which the durable Redis is lost", async () => {
	const { name } = await versions(2);
	await stack.client.setAlias(name, "live", { weights: { 1: 90, 2: 10 } });
	const path = join(stack.dataDir, "artifacts/functions/default", `${name}.json`);
	await eventually(async () => {
		expect(JSON.parse(await readFile(path, "utf8"))).toMatchObject({
			shape: 1,
			name,
			latest: 2,
			aliases: [{ name: "live", weights: { 1: 90, 2: 10 }, follows: false, previous: 2 }],
		});
	});
	await stack.client.remove(name);
	await expect(readFile(path)).rejects.toMatchObject({ code: "ENOENT" });
});

it("a deploy of what was rolled away from makes no version, and says where live is", async () => {
	const name = freshName();
	for (const number of [1, 2]) await redeploy(name, number);
	await stack.client.rollBack(name);
	expect(await redeploy(name, 2)).toMatchObject({ unchanged: true, version: { number: 2 }, live: { weights: { 1: 100 }, follows: false } });
	expect(json((await stack.client.invoke(name)).raw)).toBe(1);
});
