import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { ResolveRequest } from "@berth/contracts/agent";
import type { Ask } from "../node/questions.js";
import type { Built } from "./answer.js";
import { dependenciesOf } from "./dependencies.js";
import { DependencyError } from "./dependency-error.js";
import { runInstaller } from "./installer-run.js";
import { fieldsOf } from "./json-fields.js";
import { failure, refused } from "./refusals.js";
import { Workspace } from "./workspace.js";

/** Makes a lock file of a package.json, and what is to be installed of both. @throws Error when we are to blame */
export async function resolve(request: ResolveRequest, payload: Uint8Array, program: string, ask: Ask): Promise<Built> {
	using workspace = new Workspace([{ path: "tree/package.json", bytes: payload }]);
	const directory = join(workspace.directory, "tree");
	const { registries, limitMs } = request;
	const failed = await runInstaller({ action: "resolve", directory, registries, limitMs, program, ask, prepare: () => undefined });
	if (failed !== undefined) return refused(failed);
	const lock = readFileSync(join(directory, "package-lock.json"));
	try {
		const files = [
			{ path: "package.json", bytes: payload },
			{ path: "package-lock.json", bytes: lock },
		];
		const wanted = dependenciesOf(files, registries);
		if (wanted === undefined || !("installable" in wanted)) throw new Error("what was resolved isn't locked");
		const packages = Object.keys(fieldsOf(wanted.installable.lock["packages"])).length - 1;
		const body = Buffer.concat([lock, Buffer.from(JSON.stringify(wanted.installable))]);
		return { answer: { ok: "resolved", lockBytes: lock.byteLength, packages }, files: [], body };
	} catch (error) {
		if (error instanceof DependencyError)
			return refused(failure("dependencies_rejected", "install", `What was resolved: ${error.message}.`));
		throw error;
	}
}
