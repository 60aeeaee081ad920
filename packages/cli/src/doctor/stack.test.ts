import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { loadSettings } from "@berth/config";
import { afterEach, beforeEach, expect, test } from "vitest";
import { identityOf, type ProcessIdentity } from "../supervisor/process-identity.js";
import { type SupervisorPhase, writeSupervisorState } from "../supervisor/state-file.js";
import { checkStack } from "./stack.js";

let directory: string;
beforeEach(async () => {
	directory = await mkdtemp(join(tmpdir(), "berth-doctor-"));
});
afterEach(() => rm(directory, { recursive: true }));

test.each<[SupervisorPhase, string]>([
	["starting", "warning"],
	["ready", "ok"],
])("a worker alone, which has no address, is well once it is ready: %s", async (phase, status) => {
	const { paths } = loadSettings({ BERTH_DATA_DIR: directory });
	const supervisor = (await identityOf(process.pid)) as ProcessIdentity;
	await mkdir(dirname(paths.supervisorFile), { recursive: true });
	await writeSupervisorState(paths, { supervisor, phase, startedAt: new Date().toISOString(), children: [] });
	const { isUp, checks } = await checkStack({ paths });
	expect([isUp, checks]).toMatchObject([true, [{ status }]]);
});
