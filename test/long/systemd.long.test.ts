import { chmod, mkdtemp, readFile, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { eventually } from "../harness/eventually.js";
import { Deployed, deploy } from "../harness/functions.js";
import { clearLeftovers, leftoversOf } from "../harness/leftovers.js";
import { Stack } from "../harness/stack.js";
import { Systemd } from "../harness/systemd.js";

/** Whoever comes first boots the base images. */
const PATIENCE_MS = 60_000;
const SOURCE = `
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
const PATH = "/mnt/data/times";
export default () => {
	const times = existsSync(PATH) ? Number(readFileSync(PATH, "utf8")) + 1 : 1;
	writeFileSync(PATH, String(times));
	return { times, networks: Object.keys(networkInterfaces()) };
};`;

let dataDir: string;
let systemd: Systemd;
beforeAll(async () => {
	dataDir = await mkdtemp("/var/lib/berth-test-");
	await chmod(dataDir, 0o711);
	systemd = await Systemd.start({ BERTH_DATA_DIR: dataDir, BERTH_PORT: "0" }, basename(dataDir));
});
afterAll(async () => {
	await systemd?.[Symbol.asyncDispose]();
	await clearLeftovers(dataDir);
	await rm(dataDir, { recursive: true, force: true });
});

async function attached(): Promise<Stack> {
	const url = await systemd.ctl("show", "--property=StatusText", "--value", "berth.service");
	const key = (await readFile(join(dataDir, "admin.key"), "utf8")).trim();
	return Stack.attach({ url, key, dataDir });
}

const state = async () => (await systemd.ctl("show", "--property=ActiveState,Result", "--value", "berth.service")).split("\n");

it("as a service with all of its unit's hardening, a stack has volumes and networks, begins again when it is killed, and ends in order", async () => {
	// It returns when the service has said that it is ready.
	await systemd.ctl("start", "berth.service");
	const stack = await attached();
	await stack.client.makeVolume("data", { sizeMiB: 16 });
	const counts = await deploy(stack, { source: SOURCE, network: "internet", volumes: [{ name: "data" }] });
	expect(await counts.result()).toEqual({ times: 1, networks: ["lo", "eth0"] });

	await systemd.ctl("kill", "--kill-who=main", "--signal=KILL", "berth.service");
	await eventually(async () => expect(await state()).toContain("activating"), PATIENCE_MS);
	await eventually(async () => expect(await state()).toContain("active"), PATIENCE_MS);
	expect(await new Deployed(await attached(), counts.name, counts.version).result()).toMatchObject({ times: 2 });

	// The first key is in its file, and in nothing that a journal keeps.
	expect(await systemd.said()).not.toContain((await readFile(join(dataDir, "admin.key"), "utf8")).trim());
	await systemd.ctl("stop", "berth.service");
	expect(await state()).toEqual(expect.arrayContaining(["inactive", "success"]));
	expect(leftoversOf(dataDir)).toEqual([]);
});
