import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { InstallRequest } from "@berth/contracts/agent";
import type { Ask } from "../node/questions.js";
import type { Built } from "./answer.js";
import { DependencyError } from "./dependency-error.js";
import type { Installable } from "./installable.js";
import { listTree, putTree } from "./installed-tree.js";
import { runInstaller } from "./installer-run.js";
import { failure, refused } from "./refusals.js";
import { SOMEWHERE } from "./registry-places.js";
import { Workspace } from "./workspace.js";

/** Installs in a process of its own, and puts the tree's bytes. @throws Error when we are to blame */
export async function install(request: InstallRequest, payload: Uint8Array, program: string, ask: Ask): Promise<Built> {
	const { manifest, lock } = JSON.parse(Buffer.from(payload).toString()) as Installable;
	using workspace = new Workspace([]);
	const directory = join(workspace.directory, "tree");
	mkdirSync(directory);
	writeFileSync(join(directory, "package.json"), JSON.stringify(manifest));
	const failed = await runInstaller({
		action: "install",
		directory,
		registries: request.registries,
		limitMs: request.limitMs,
		program,
		ask,
		prepare: ({ origin }) => writeFileSync(join(directory, "package-lock.json"), JSON.stringify(lock).replaceAll(SOMEWHERE, origin)),
	});
	return failed === undefined ? await put(directory, ask) : refused(failed);
}

async function put(directory: string, ask: Ask): Promise<Built> {
	try {
		const files = listTree(directory);
		await putTree(directory, files, ask);
		return { answer: { ok: "installed" }, files: [], body: Buffer.from(JSON.stringify(files)) };
	} catch (error) {
		if (error instanceof DependencyError) return refused(failure("dependencies_rejected", "install", error.message));
		throw error;
	}
}
