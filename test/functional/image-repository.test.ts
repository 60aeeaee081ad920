import { existsSync } from "node:fs";
import { readFile, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../harness/eventually.js";
import { type Deployed, deploy, freshName } from "../harness/functions.js";
import { dropUnpacked, unpackedLayer } from "../harness/layers.js";
import { LOGIN, Registry } from "../harness/registry.js";
import { Stack } from "../harness/stack.js";

let registry: Registry;
let stack: Stack;
beforeAll(async () => {
	registry = await Registry.start("login");
	const BERTH_IMAGE_REPOSITORY = `${registry.host}/team/berth`;
	stack = await Stack.start({
		BERTH_PREWARMED: "0",
		BERTH_REGISTRIES: registry.settingWithLogin,
		BERTH_IMAGE_REPOSITORY,
		BERTH_IMAGES_MIB: "256",
	});
});
afterAll(async () => {
	await stack?.stop();
	await registry?.stop();
});

const saying = (text: string) => `export default () => "${text}";`;

/** The copy of a version's image, once it is in that state. */
const copyOf = (name: string, version: number, state: "pushed" | "failing") =>
	eventually(async () => {
		const { copy } = await stack.client.version(name, version);
		if (copy?.state !== state) throw new Error(`the copy of ${name}:${version} is ${JSON.stringify(copy)}`);
		return copy;
	}, 30_000);

const blobOf = (digest = "") => join(stack.dataDir, "artifacts/oci/blobs/sha256", digest.slice("sha256:".length));
const codeOf = ({ version }: Deployed) => version.image?.layers.at(-1)?.digest ?? "";

describe("the image repository", () => {
	it("has every version's image soon after it is ready, and is sent no blob twice", async () => {
		const first = await deploy(stack, { source: saying("one") });
		const reference = `${registry.host}/team/berth:default.${first.name}.1`;
		expect(await copyOf(first.name, 1, "pushed")).toMatchObject({ reference });
		await stack.client.deploy(first.name, { source: saying("two") });
		// Its config and its code: what it is made on is there.
		expect(await copyOf(first.name, 2, "pushed")).toMatchObject({ sentBlobs: 2 });
		expect((await stack.berth("versions", first.name)).stdout).toMatch(/COPY[\s\S]*pushed[\s\S]*pushed/);
		expect((await stack.berth("inspect", `${first.name}@1`)).stdout).toContain(reference);
	});

	it("makes a function that can be built again, as its source came along", async () => {
		const here = await deploy(stack, { source: saying("travels") });
		const { reference } = await copyOf(here.name, 1, "pushed");
		// Nothing else is made of this source: it goes with the function.
		await stack.client.remove(here.name);
		await stack.client.pullImage({ reference, function: "there" });
		expect(String(await stack.client.source("there", 1))).toBe(saying("travels"));
	});

	it("is nobody's to push to by name, nor to pull from but the project's own copies", async () => {
		const { name } = await deploy(stack, { source: saying("private") });
		const { reference } = await copyOf(name, 1, "pushed");
		const place = reference.slice(0, reference.lastIndexOf(":"));
		const { image } = await stack.client.version(name, 1);
		for (const pulled of [`${place}:other.${name}.1`, `${place}@${image?.digest}`, place]) {
			await expect(stack.client.pullImage({ reference: pulled, function: "stolen" })).rejects.toThrow(/copies of all images/);
			await expect(stack.client.deploy(freshName(), { image: pulled })).rejects.toMatchObject({ problem: { code: "invalid_request" } });
		}
		await expect(stack.client.pushImage({ function: name, reference })).rejects.toThrow(/nothing is pushed there by name/);
	});

	it("that is away holds nobody up; what is missing follows when it is back, also after the worker was killed", async () => {
		await registry.halt();
		const late = await deploy(stack, { source: saying("late") });
		expect(await late.result()).toBe("late");
		expect(await copyOf(late.name, 1, "failing")).toMatchObject({ problem: { code: "registry_failed" } });
		await stack.killAndAwaitNext("worker");
		await registry.resume();
		expect(await copyOf(late.name, 1, "pushed")).toMatchObject({ tries: expect.any(Number) });
	});

	it("that refuses the login refuses the start, and says so", async () => {
		const registries = `http://${LOGIN.username}:wrong@${registry.host}`;
		const start = Stack.start({ BERTH_REGISTRIES: registries, BERTH_IMAGE_REPOSITORY: `${registry.host}/team/berth` });
		await expect(start).rejects.toThrow(/can't be pushed to BERTH_IMAGE_REPOSITORY.*doesn't take the name and password/s);
		const unlisted = Stack.start({ BERTH_IMAGE_REPOSITORY: `${registry.host}/team/berth` });
		await expect(unlisted).rejects.toThrow(/BERTH_REGISTRIES doesn't list/);
	});
});

describe("the budget for images, which the bases alone go beyond", () => {
	it("takes the layers of what is neither live, newest nor in use, when the registry has them; they come back when it is wanted", async () => {
		const { name } = await deploy(stack, { source: saying("old") });
		const { version: newer } = await stack.client.deploy(name, { source: saying("new") });
		const [old] = (await stack.client.version(name, 1)).image?.layers ?? [];
		await copyOf(name, 1, "pushed");
		await eventually(() => expect(existsSync(blobOf(old?.digest))).toBe(false));
		expect(existsSync(blobOf(newer.image?.layers[0]?.digest))).toBe(true);
		await dropUnpacked(stack);
		expect((await stack.client.invoke(`${name}@1`)).raw.body.toString()).toBe("old");
		expect(existsSync(blobOf(old?.digest))).toBe(true);
	});

	it("needs no thought for what was deleted: the image of a version goes with it", async () => {
		const { name } = await deploy(stack, { source: saying("first") });
		const { version: gone } = await stack.client.deploy(name, { source: saying("second") });
		await stack.client.deploy(name, { source: saying("third") });
		await stack.client.removeVersion(name, 2);
		const index = () => readFile(join(stack.dataDir, "artifacts/oci/index.json"), "utf8");
		await eventually(async () => expect(await index()).not.toContain(`${name}:2"`));
		expect(await index()).toContain(`${name}:3"`);
		await eventually(() => expect(existsSync(blobOf(gone.image?.layers[0]?.digest))).toBe(false));
		await stack.client.remove(name);
		await stack.client.deploy(name, { source: saying("again") });
		await eventually(async () => expect(await index()).not.toContain(`${name}:3"`));
	});
});

describe("what a node misses comes back when it is wanted", () => {
	const spoil: Readonly<Record<string, (blob: string) => Promise<void>>> = {
		missing: (blob) => rm(blob),
		"cut short": (blob) => truncate(blob, 100),
		corrupt: async (blob) => {
			const bytes = await readFile(blob);
			bytes.fill("x", 0, 300);
			await writeFile(blob, bytes);
		},
	};

	it.each(Object.keys(spoil))("a layer whose blob is %s", async (how) => {
		const spoilt = await deploy(stack, { source: saying(`from the registry, once ${how}`), name: freshName() });
		await copyOf(spoilt.name, 1, "pushed");
		const blob = blobOf(codeOf(spoilt));
		const whole = await readFile(blob);
		await spoil[how]?.(blob);
		await dropUnpacked(stack);
		expect(existsSync(unpackedLayer(stack, codeOf(spoilt)))).toBe(false);
		expect(await spoilt.result()).toBe(`from the registry, once ${how}`);
		expect(await readFile(blob)).toEqual(whole);
		const told = new RegExp(`"digest":"${codeOf(spoilt)}"[^\\n]*a blob was brought from the image repository`);
		await eventually(async () => expect(await readFile(join(stack.dataDir, "logs/worker.log"), "utf8")).toMatch(told));
	});

	it("and so does a manifest, and recovery takes an image whose layers are only in the registry", async () => {
		const lone = await deploy(stack, { source: saying("back from nowhere") });
		await copyOf(lone.name, 1, "pushed");
		await stack.down();
		await rm(join(stack.dataDir, "redis/durable"), { recursive: true });
		await Promise.all([lone.version.image?.digest, codeOf(lone)].map((digest) => rm(blobOf(digest))));
		await stack.up();
		const recovery = await eventually(() => stack.client.recover());
		expect(recovery.lost).toEqual([]);
		await dropUnpacked(stack);
		expect((await stack.client.invoke(lone.name)).raw.body.toString()).toBe("back from nowhere");
	});
});
