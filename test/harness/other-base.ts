import { appendFile, chown, cp, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { prepareBases } from "@berth/builder";
import { openArtifactStore } from "@berth/registry";
import type { Stack } from "./stack.js";

const ROOT = join(import.meta.dirname, "../..");

/**
 * Gives a stack's runtimes a patched agent, as an update of Berth would: functions of Node on it see `globalThis.patched`.
 * The bases of before come back with the next `up`.
 */
export async function patchBases(stack: Stack, patched: string): Promise<void> {
	const agentDir = await mkdtemp(join(tmpdir(), "berth-agents-"));
	const file = join(stack.dataDir, "bases.json");
	try {
		await cp(join(ROOT, "packages/agents/dist"), agentDir, { recursive: true });
		await appendFile(join(agentDir, "agent.cjs"), `\nglobalThis.patched = ${JSON.stringify(patched)};\n`);
		const { uid } = await stat(file);
		const artifacts = await openArtifactStore(join(stack.dataDir, "artifacts"), { owner: uid });
		const bases = await prepareBases({ runtimesDir: join(ROOT, "infra/runtimes"), agentDir, tini: "/usr/bin/tini-static", artifacts });
		if (JSON.stringify(bases) === (await readFile(file, "utf8"))) throw new Error("the bases are the same as before");
		await writeFile(file, JSON.stringify(bases));
		await chown(file, uid, uid);
	} finally {
		await rm(agentDir, { recursive: true });
	}
	await stack.killAndAwaitNext("worker");
}
