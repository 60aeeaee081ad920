import { afterAll, beforeAll, expect, test } from "vitest";
import { Composition } from "../harness/composition.js";
import { DockerDaemon } from "../harness/docker-engine.js";
import { makeBaseImages } from "../harness/docker-images.js";
import { eventually } from "../harness/eventually.js";
import { deploy } from "../harness/functions.js";
import { leftoversOf } from "../harness/leftovers.js";

const BUILDS_MS = 1_800_000;
const RESTART_MS = 60_000;

let daemon: DockerDaemon;
let composition: Composition;
beforeAll(async () => {
	daemon = await DockerDaemon.start();
	await makeBaseImages(daemon);
	composition = await Composition.of(daemon);
	// One after the other: the second has from the cache what the first one built.
	await composition.compose("build", "gateway");
	await composition.compose("build", "worker");
	await composition.up();
}, BUILDS_MS);
afterAll(async () => {
	await composition?.[Symbol.asyncDispose]();
	await daemon?.stop();
});

/** What the Engine knows of a service's container. */
async function inspect(service: string) {
	const id = await composition.containerOf(service);
	return daemon.ask<{ HostConfig: { Privileged: boolean }; State: { ExitCode: number; Running: boolean } }>(
		"GET",
		`/containers/${id}/json`,
	);
}

/** Standard output of a shell's in a service's container. */
async function inside(service: string, script: string): Promise<string> {
	return (await daemon.docker("exec", await composition.containerOf(service), "sh", "-c", script)).stdout;
}

test("the gateway runs as nobody in particular, without a capability or a file to write, and no container is privileged", async () => {
	const script = "id -u; grep -h CapEff /proc/self/status /proc/1/status; touch /x 2>&1; node --version";
	expect(await inside("gateway", script)).toMatch(/^64770\nCapEff:\t0+\nCapEff:\t0+\ntouch: .*Read-only file system\nv24\./);
	for (const service of ["gateway", "worker"]) expect((await inspect(service)).HostConfig.Privileged).toBe(false);
});

test("a function that is deployed at the published port is invoked there, and in the background, with bodies that go through the bucket", async () => {
	const { stack } = composition;
	const measured = await deploy(stack, { source: "export default ({ text }) => [process.getuid(), text.length]" });
	expect(await measured.result({ text: "x" })).toEqual([1000, 1]);
	const { id } = await stack.client.invokeAsync(measured.name, { json: { text: "z".repeat(300_000) } });
	expect(await stack.client.settled(id)).toMatchObject({ outcome: "succeeded", result: { json: [1000, 300_000] } });
});

test("a volume is there in the worker's next container, as its node is the same one", async () => {
	const { stack } = composition;
	await stack.client.makeVolume("data", { sizeMiB: 16 });
	const source = `import { existsSync, readFileSync, writeFileSync } from "node:fs";
const path = "/mnt/data/kept";
export default (text) => { if (!existsSync(path)) writeFileSync(path, text); return readFileSync(path, "utf8"); };`;
	const keeper = await deploy(stack, { source, volumes: [{ name: "data" }] });
	expect(await keeper.result("first")).toBe("first");
	await composition.compose("up", "--detach", "--no-build", "--wait", "--force-recreate", "--no-deps", "worker");
	// Until its node is there again, it is refused.
	await eventually(async () => expect(await keeper.result("second")).toBe("first"), RESTART_MS);
});

test("all end in order, and when they are down nothing of theirs is left", async () => {
	await composition.compose("stop", "gateway", "worker");
	for (const service of ["gateway", "worker"]) expect((await inspect(service)).State).toMatchObject({ Running: false, ExitCode: 0 });
	await composition.compose("down", "--volumes");
	expect(leftoversOf(composition.dataDir)).toEqual([]);
	expect([await daemon.containers(), await daemon.networks()]).toEqual([[], []]);
});
