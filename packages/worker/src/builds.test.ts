import { setImmediate } from "node:timers/promises";
import type { BuildResult, ImageBuilder } from "@berth/builder";
import { BerthError, manifestSchema, type Version } from "@berth/contracts";
import type { BuildEnd, FunctionRegistry } from "@berth/registry";
import { createLogger, WorkerMetrics } from "@berth/telemetry";
import { expect, test } from "vitest";
import { Builds, type BuildsOptions } from "./builds.js";
import { ready } from "./testing/versions.js";

const LAST_ATTEMPT = 3;
const BUILT: BuildResult = {
	ok: true,
	image: ready("hello").image,
	bundled: true,
	report: { durationMs: 1, phases: {}, layers: [], warnings: [] },
};

/** A registry with one version that is to be built, as the durable Redis has it: what ended stays as it ended. */
class FakeRegistry {
	readonly said: string[] = [];
	readonly logs = {
		add: async (_: unknown, lines: readonly { readonly text: string }[]) => void this.said.push(...lines.map(({ text }) => text)),
	};
	/** What reaches the worker of an answer, once it is written. */
	answers: (end: BuildEnd) => void = () => undefined;
	version: Version;

	constructor() {
		const { image: _, ...version } = ready("hello");
		this.version = { ...version, state: "queued" };
	}

	getVersion = async () => this.version;
	usesSource = async () => true;

	async setBuilding(): Promise<boolean> {
		this.version = { ...this.version, state: "building" };
		return true;
	}

	async endBuild(_version: Version, end: BuildEnd): Promise<boolean> {
		const ends = this.version.state === "building";
		if (ends) this.version = { ...this.version, ...end };
		this.answers(end);
		return ends;
	}
}

let isElsewhere = false;

/** @returns what is removed by a last attempt, in which the builder does that */
async function lastAttempt(registry: FakeRegistry, build: () => Promise<BuildResult>): Promise<readonly Version[]> {
	return await attempted(LAST_ATTEMPT, registry, build);
}

async function attempted(
	attempt: number,
	registry: FakeRegistry,
	build: () => Promise<BuildResult>,
	publish?: BuildsOptions["publish"],
	warmLayers: BuildsOptions["warmLayers"] = async () => undefined,
	rejected = attempt - 1,
): Promise<readonly Version[]> {
	const removed: Version[] = [];
	const builder = { build, removeVersion: async (version: Version) => void removed.push(version) };
	const builds = new Builds({
		functions: registry as unknown as FunctionRegistry,
		artifacts: { sources: { remove: async () => undefined } as never },
		builder: builder as unknown as ImageBuilder,
		metrics: new WorkerMetrics(() => []),
		events: { record: () => undefined },
		log: createLogger("test", "silent"),
		networkMissing: undefined,
		runtimeClasses: { runsc: { missing: "there is none" } },
		isClassElsewhere: async () => isElsewhere,
		warmLayers,
		publish,
	});
	await builds.run({ project: "default", function: "hello", version: 1 }, attempt, rejected);
	return removed;
}

test("a build that ended keeps its image though the answer that said so was lost", async () => {
	const registry = new FakeRegistry();
	registry.answers = ({ state }) => {
		if (state === "ready") throw new Error("the connection is gone");
	};
	expect(await lastAttempt(registry, async () => BUILT)).toEqual([]);
	expect(registry.version).toMatchObject({ state: "ready", image: BUILT.image });
});

test("whoever deploys hears how far the image is on its way to other machines, and why that is tried again", async () => {
	const registry = new FakeRegistry();
	const publish: BuildsOptions["publish"] = async (_, __, say) => {
		say("images.test has said nothing for 5 s");
		throw new BerthError("registry_failed", "images.test said nothing for 20 s");
	};
	await expect(attempted(1, registry, async () => BUILT, publish)).rejects.toThrow("20 s");
	expect(registry.said).toEqual(["images.test has said nothing for 5 s", "it is tried again: images.test said nothing for 20 s"]);
	expect(registry.version.state).toBe("building");
});

test("an attempt whose layers can't be brought to where sandboxes find them ends once nothing of it says anything more", async () => {
	const registry = new FakeRegistry();
	const publish: BuildsOptions["publish"] = async (_, __, say) => {
		await setImmediate();
		say("1.0 of 2.0 MiB of the image were sent to images.test");
	};
	const attempt = attempted(
		1,
		registry,
		async () => BUILT,
		publish,
		() => Promise.reject(new Error("no disk")),
	);
	await expect(attempt).rejects.toThrow("no disk");
	expect(registry.said).toEqual(["1.0 of 2.0 MiB of the image were sent to images.test", "it is tried again: no disk"]);
});

test("why it is built again is said once: by the attempt that was rejected, or by the one after a worker's end", async () => {
	const first = async (attempt: number, rejected: number) => {
		const registry = new FakeRegistry();
		await attempted(attempt, registry, async () => BUILT, undefined, undefined, rejected);
		return registry.said[0];
	};
	expect(await Promise.all([first(1, 0), first(2, 1), first(2, 0), first(3, 1)])).toEqual([
		undefined,
		"attempt 2",
		"attempt 2: one before was cut short",
		"attempt 3: one before was cut short",
	]);
});

test("one whose layers are more than its project may have fails with that, and what it made goes", async () => {
	const registry = new FakeRegistry();
	const endBuild = registry.endBuild.bind(registry);
	registry.endBuild = (version, end) =>
		end.state === "ready" ? Promise.reject(new BerthError("quota_exceeded", "imageMiB: too much")) : endBuild(version, end);
	const removed = await lastAttempt(registry, async () => BUILT);
	expect(registry.version).toMatchObject({ state: "failed", failure: { code: "quota_exceeded", message: "imageMiB: too much" } });
	expect(removed).toHaveLength(1);
});

test("one that didn't end is failed for good by the last attempt, and what it made goes", async () => {
	const registry = new FakeRegistry();
	const removed = await lastAttempt(registry, () => Promise.reject(new Error("no sandbox")));
	expect(registry.version).toMatchObject({ state: "failed", failure: { code: "build_platform_error" } });
	expect(removed).toHaveLength(1);
});

test("one whose runtime class another node has is built here; where none has it, it fails with that", async () => {
	for (const state of ["ready", "failed"] as const) {
		isElsewhere = state === "ready";
		const registry = new FakeRegistry();
		registry.version = { ...registry.version, manifest: manifestSchema.parse({ runtimeClass: "runsc" }) };
		await lastAttempt(registry, async () => BUILT);
		expect(registry.version).toMatchObject({ state, ...(isElsewhere ? {} : { failure: { code: "runtime_class_unavailable" } }) });
	}
});
