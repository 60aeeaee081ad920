import type { ImageStart } from "@berth/contracts/agent";
import { ArchiveError } from "../archive-rules.js";

const MOST_BYTES = 64 * 1024;
const ARCHITECTURE = process.arch === "x64" ? "amd64" : process.arch;

/** How an image's program is started, out of its config (OCI image spec, config.md); or why it can't be, in a sentence. @throws ArchiveError */
export function startOf(config: unknown): ImageStart | string {
	const { architecture, os, config: settings = {} } = config as { architecture?: unknown; os?: unknown; config?: object };
	if (os !== "linux" || architecture !== ARCHITECTURE)
		return `The image is for ${String(os)}/${String(architecture)}; this node runs linux/${ARCHITECTURE}.`.slice(0, 200);
	const { Entrypoint, Cmd, Env, WorkingDir } = (settings ?? {}) as Readonly<Record<string, unknown>>;
	const args = [...texts(Entrypoint, "Entrypoint"), ...texts(Cmd, "Cmd")];
	if (args.length === 0) return "The image has neither Entrypoint nor Cmd: nothing says what is to be started.";
	const env = Object.fromEntries(texts(Env, "Env").map((one) => [one.split("=", 1)[0] ?? "", one.slice(one.indexOf("=") + 1)] as const));
	const cwd = typeof WorkingDir === "string" && WorkingDir.startsWith("/") ? WorkingDir : "/";
	const start: ImageStart = { args, env, cwd };
	if (Buffer.byteLength(JSON.stringify(start)) > MOST_BYTES)
		throw new ArchiveError(undefined, `has a command and variables of more than ${MOST_BYTES} bytes`);
	return start;
}

function texts(value: unknown, field: string): readonly string[] {
	if (value === undefined || value === null) return [];
	const list = Array.isArray(value) ? (value as readonly unknown[]) : [undefined];
	for (const one of list) {
		if (typeof one !== "string" || one.includes("\0"))
			throw new ArchiveError(undefined, `is damaged: ${field} of its config isn't a list of texts`);
	}
	return list as readonly string[];
}
