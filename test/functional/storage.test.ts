import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Bucket } from "@berth/bucket";
import { S3Server } from "@berth/bucket/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../harness/eventually.js";
import { type Deployed, deploy, fixture, freshName } from "../harness/functions.js";
import { leftoversOf, loopDevicesOf } from "../harness/leftovers.js";
import { send } from "../harness/raw-http.js";
import { Stack } from "../harness/stack.js";

let directory: string;
let s3: S3Server;
let stack: Stack;

beforeAll(async () => {
	directory = mkdtempSync("/var/lib/berth-test-bind-");
	mkdirSync(join(directory, "models"), { mode: 0o755 });
	writeFileSync(join(directory, "models", "weights"), "from the host");
	// Everybody on the host may write it; a function may not.
	chmodSync(join(directory, "models"), 0o777);
	chmodSync(join(directory, "models", "weights"), 0o666);
	writeFileSync(join(directory, "models", "private"), "the host's own", { mode: 0o600 });
	s3 = await S3Server.start();
	const { accessKeyId, secretAccessKey, bucket, endpoint } = s3.place();
	stack = await Stack.start({
		BERTH_BINDS: `models=${directory}/models`,
		BERTH_VOLUMES_MIB: "64",
		BERTH_PAYLOAD_STORE: `s3://${accessKeyId}:${secretAccessKey}@${bucket}/berth/?endpoint=${endpoint}`,
	});
});
afterAll(async () => {
	try {
		await stack?.stop();
	} finally {
		await s3?.[Symbol.asyncDispose]();
		rmSync(directory, { recursive: true, force: true });
	}
});

const user = (input: Pick<Parameters<typeof deploy>[1], "volumes" | "binds" | "name">): Promise<Deployed> =>
	deploy(stack, { source: fixture("uses-files"), ...input });

describe("a volume", () => {
	it("is made, shown, and removed only when nobody has it; then it is gone, and so is its space", async () => {
		const created = await stack.berth("volume", "create", "box", "--size", "16MiB", "--json");
		expect(JSON.parse(created.stdout)).toMatchObject({ name: "box", sizeMiB: 16, state: "ready", functions: [] });
		const { name } = await user({ volumes: [{ name: "box" }] });
		const listed = JSON.parse((await stack.berth("volume", "list", "--json")).stdout);
		expect(listed).toMatchObject({ volumes: [{ name: "box", sizeMiB: 16, functions: [name] }] });
		expect((await stack.berth("volume", "inspect", "box")).stdout).toContain("16 MiB");
		expect((await stack.berth("inspect", name)).stdout).toMatch(/storage\s+\/mnt\/box\n/);
		const refused = await stack.berth("volume", "remove", "box");
		expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining(name)]);
		await stack.client.remove(name);
		expect((await stack.berth("volume", "remove", "box")).code).toBe(0);
		expect(readdirSync(join(stack.dataDir, "launcher", "volumes"))).toEqual([]);
		await expect(user({ volumes: [{ name: "box" }] })).rejects.toMatchObject({ problem: { code: "volume_not_found" } });
	});

	it("is refused beyond the node's budget and in another size, and is itself left as it was", async () => {
		await stack.client.makeVolume("box", { sizeMiB: 32 });
		await expect(stack.client.makeVolume("more", { sizeMiB: 33 })).rejects.toMatchObject({
			problem: { code: "storage_full", detail: expect.stringContaining("BERTH_VOLUMES_MIB") },
		});
		await expect(stack.client.makeVolume("huge", { sizeMiB: 65 })).rejects.toMatchObject({
			problem: { code: "invalid_request", retryable: false, detail: expect.stringMatching(/65 MiB never fit .* may have 64 together/) },
		});
		await expect(stack.client.makeVolume("box", { sizeMiB: 16 })).rejects.toMatchObject({ problem: { code: "invalid_request" } });
		for (const sizeMiB of [15, 1.5, 2 ** 20 + 1])
			await expect(stack.client.makeVolume("odd", { sizeMiB })).rejects.toMatchObject({ problem: { issues: [{ field: "sizeMiB" }] } });
		expect((await stack.client.volumes()).map(({ name, sizeMiB }) => [name, sizeMiB])).toEqual([["box", 32]]);
		await stack.client.removeVolume("box");
	});

	it("goes to a prewarmed sandbox, and is taken from sandboxes of a deleted function when it is removed", async () => {
		await stack.client.makeVolume("box", { sizeMiB: 16 });
		const deployed = await user({ volumes: [{ name: "box" }] });
		const answer = await deployed.invoke({ do: "append", path: "/mnt/box/x", text: "x" });
		expect((await deployed.record(answer)).start).toBe("prewarmed");
		await stack.client.remove(deployed.name);
		await stack.client.removeVolume("box");
		await stack.client.makeVolume("box", { sizeMiB: 16 });
		const next = await user({ volumes: [{ name: "box" }] });
		expect(await next.result({ do: "list", path: "/mnt/box" })).toEqual([]);
		await stack.client.remove(next.name);
		await stack.client.removeVolume("box");
	});

	it("that its node doesn't have fails invocations, and is never made by one; asked for again it is there, empty", async () => {
		await stack.client.makeVolume("box", { sizeMiB: 16 });
		for (const name of readdirSync(join(stack.dataDir, "launcher", "volumes"))) rmSync(join(stack.dataDir, "launcher", "volumes", name));
		const deployed = await user({ volumes: [{ name: "box" }] });
		const { outcome, problem } = await deployed.invoke({ do: "list", path: "/mnt/box" });
		expect([outcome, problem?.detail]).toEqual(["platform_error", expect.stringContaining("/mnt/box: the volume isn't on this node")]);
		expect(readdirSync(join(stack.dataDir, "launcher", "volumes"))).toEqual([]);
		await stack.client.makeVolume("box", { sizeMiB: 16 });
		expect(await deployed.result({ do: "list", path: "/mnt/box" })).toEqual([]);
		await stack.client.remove(deployed.name);
		await stack.client.removeVolume("box");
	});

	it("stays over a restart, and over a kill -9 of the launcher; a stack that is down has it mounted nowhere", async () => {
		await stack.client.makeVolume("box", { sizeMiB: 16 });
		const deployed = await user({ volumes: [{ name: "box" }] });
		const append = (text: string) => stack.client.invoke(deployed.name, { json: { do: "append", path: "/mnt/box/log", text } });
		expect((await append("a")).outcome).toBe("succeeded");
		await stack.killAndAwaitNext("launcher");
		await eventually(async () => expect((await append("b")).outcome).toBe("succeeded"), 30_000);
		expect(loopDevicesOf(stack.dataDir)).toHaveLength(1);
		process.kill(await stack.pidOf("launcher"), "SIGKILL");
		process.kill(await stack.supervisorPid(), "SIGKILL");
		await stack.down();
		await eventually(() => expect(leftoversOf(stack.dataDir)).toEqual([]));
		await stack.up();
		const { raw } = await stack.client.invoke(deployed.name, { json: { do: "read", path: "/mnt/box/log" } });
		expect(raw.body.toString()).toMatch(/^ab+$/);
	});
});

describe("a bind mount", () => {
	it("a bind mount is what the operator named, and can't be written", async () => {
		const reader = await user({ binds: ["models"] });
		expect(await reader.result({ do: "read", path: "/mnt/models/weights" })).toBe("from the host");
		expect(await reader.result({ do: "read", path: "/mnt/models/private" })).toBe("EACCES");
		for (const wanted of ["append", "remove", "chmod"])
			expect([wanted, await reader.result({ do: wanted, path: "/mnt/models/weights" })]).toEqual([wanted, "EROFS"]);
		expect((await reader.result<{ mount: string }>({ do: "look", path: "/mnt/models/weights" })).mount).toContain("ro,nosuid,nodev,noexec");
	});

	it("is refused by a name that the operator doesn't have, and by one that a volume has", async () => {
		await expect(user({ binds: ["modells"] })).rejects.toMatchObject({
			problem: { code: "invalid_manifest", issues: [{ field: "binds", message: expect.stringContaining("did you mean models?") }] },
		});
		for (const twice of [
			{ binds: ["models"], volumes: [{ name: "models" }] },
			{ binds: ["models", "models"] },
			{ volumes: [{ name: "a" }, { name: "a" }] },
		])
			await expect(user({ name: freshName(), ...twice })).rejects.toMatchObject({
				problem: { code: "invalid_manifest", detail: expect.stringContaining("more than once") },
			});
	});
});

describe("payloads in a bucket", () => {
	/** More than goes into a message, of either lane. */
	const text = "payload ".repeat(20_000);
	const payloads = (kind: string) => new Bucket(s3.place("berth/")).names(`${kind}/`);

	it("come back from there as they were sent, are replayed and redelivered, and wait there no longer than they have to", async () => {
		const source = `export default { fetch: async (request) => new Response(await request.text(), { headers: { "content-type": "text/plain" } }) };`;
		const { name } = await deploy(stack, { source });
		const resultOf = (id: string) =>
			eventually(async () => {
				const record = await stack.client.invocation(id);
				expect(record).toMatchObject({ state: "settled", outcome: "succeeded" });
				return record.result;
			});
		const { id } = await stack.client.invokeAsync(name, { bytes: text, contentType: "text/plain" });
		expect(await resultOf(id)).toMatchObject({ text });
		expect((await Promise.all(["results", "requests"].map(payloads))).map(({ length }) => length)).toEqual([1, 1]);
		const replayed = await stack.client.replay(id);
		expect(await resultOf(replayed.id)).toMatchObject({ text });
		const hook = await stack.client.makeHook(name, { scheme: "none" });
		const { body } = await send(stack, { path: hook.path, key: null, method: "POST", body: text });
		const { event, invocation } = JSON.parse(body.toString()) as { event: string; invocation: string };
		expect(await resultOf(invocation)).toMatchObject({ text });
		expect(await payloads("deliveries")).toHaveLength(1);
		const { redelivered } = await stack.client.redeliver(name, hook.name, event);
		const again = await eventually(async () => {
			const found = await stack.client.hookEvent(name, hook.name, redelivered[0]?.as ?? "");
			expect(found.outcome).toBe("succeeded");
			return found;
		});
		expect(await resultOf(again.invocation ?? "")).toMatchObject({ text });
		await eventually(async () => expect(await payloads("queued")).toEqual([]));
		for (const kind of ["queued", "requests", "results", "deliveries"])
			expect(readdirSync(join(stack.dataDir, "artifacts", kind))).toEqual([]);
	});
});
