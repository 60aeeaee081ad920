import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadSettings } from "@berth/config";
import { afterEach, beforeEach, expect, test } from "vitest";
import { preflight } from "./preflight.js";

let directory: string;
beforeEach(async () => {
	directory = await mkdtemp(join(tmpdir(), "preflight-"));
});
afterEach(() => rm(directory, { recursive: true }));

test("a Docker Engine that can't be had refuses the start, before anything is made for it", async () => {
	const dataDir = join("/var/tmp", directory.split("/").at(-1) as string);
	const socket = join(directory, "docker.sock");
	const settings = loadSettings({ BERTH_DATA_DIR: dataDir, BERTH_ENGINE: "docker", BERTH_DOCKER_SOCKET: socket, BERTH_PORT: "0" });
	const refusal = `There is no Docker Engine at ${socket}: Start it (systemctl start docker), name its socket with BERTH_DOCKER_SOCKET, or set BERTH_ENGINE=oci, which needs none.`;
	await expect(preflight(settings, () => undefined)).rejects.toThrow(refusal);
	expect(existsSync(dataDir)).toBe(false);
	await preflight(loadSettings({ BERTH_DATA_DIR: dataDir, BERTH_PORT: "0" }), () => undefined);
});
