import { manifestSchema, type Version } from "@berth/contracts";
import type { VersionNames } from "@berth/sandbox";
import { expect, test } from "vitest";
import { ready } from "../testing/versions.js";
import type { ReadyVersions } from "../versions.js";
import { ImagesAhead } from "./images-ahead.js";

/** What is brought, one name after the other, each when it is let. */
function opened() {
	const brought: string[] = [];
	let under = 0;
	let most = 0;
	const versions = {
		get: async (project: string, name: string, number: number) => {
			if (name === "gone") throw new Error("it was deleted");
			const manifest = manifestSchema.parse(name === "elsewhere" ? { nodeSelector: { zone: "b" } } : {});
			return { ...ready(name), project, number, manifest } as Version;
		},
	} as unknown as Pick<ReadyVersions, "get">;
	const bring = async (_: unknown, { project, function: name, version }: VersionNames) => {
		most = Math.max(most, ++under);
		await new Promise(setImmediate);
		under--;
		brought.push(`${project}/${name}:${version}`);
	};
	const log = { debug: () => undefined };
	const ahead = new ImagesAhead({ versions, pool: { bring }, isForHere: ({ nodeSelector }) => nodeSelector === undefined, log });
	return { ahead, brought, most: () => most };
}

const load = (...warm: readonly string[]) => ({ load: { memoryMiB: 1, heldMiB: 0, sandboxes: 0, running: 0, mostRunning: 1, warm } });

test("what others have warm is brought once, the last used of each first, one at a time", async () => {
	const { ahead, brought, most } = opened();
	ahead.wantWarm([load("p/a:1", "p/b:2"), load("p/c:3", "p/a:1"), {}]);
	await expect.poll(() => brought).toEqual(["p/a:1", "p/c:3", "p/b:2"]);
	expect(most()).toBe(1);
});

test("what is gone, or not for this node, keeps nothing else from coming", async () => {
	const { ahead, brought } = opened();
	for (const name of ["gone", "elsewhere", "here"]) ahead.want({ project: "p", function: name, version: 1 });
	await expect.poll(() => brought).toEqual(["p/here:1"]);
	ahead.want({ project: "p", function: "later", version: 1 });
	await expect.poll(() => brought).toEqual(["p/here:1", "p/later:1"]);
});

test("no more waits than is bounded, and after a stop nothing is begun", async () => {
	const { ahead, brought } = opened();
	ahead.wantWarm([load(...Array.from({ length: 200 }, (_, at) => `p/f${at}:1`))]);
	await expect.poll(() => brought.length).toBe(64);
	ahead.wantWarm([load("p/x:1", "p/y:1", "p/z:1")]);
	ahead.stop();
	await expect.poll(() => brought.length).toBeGreaterThan(64);
	const there = brought.length;
	ahead.want({ project: "p", function: "never", version: 1 });
	for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate);
	expect(brought).toHaveLength(there);
});
