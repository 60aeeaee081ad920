import type { Weakenings } from "../weakening.js";

const SPEC = "packages/sandbox/src/container-spec.ts";
const FILES_OF_SOURCE = "packages/agents/src/builder/source-files.ts";

/** What holds the build of a source. */
export const builds = {
	"archive rules": {
		takes: "the rules for archives: what paths and kinds entries may have, how many, how large, each once",
		edits: [
			[FILES_OF_SOURCE, 'if (name.includes("\\0")) throw new ArchiveError(name, "has a NUL in its name");', ""],
			[FILES_OF_SOURCE, 'if (name.startsWith("/") || DRIVE.test(name)) throw new ArchiveError(name, "has an absolute path");', ""],
			[
				FILES_OF_SOURCE,
				'if (parts.includes("..")) throw new ArchiveError(name, "leads out of the archive with `..`");',
				'if (parts.includes("..")) return "led-out.js";',
			],
			[FILES_OF_SOURCE, 'if (this.#files.has(key)) throw new ArchiveError(name, "is there twice");', ""],
			[FILES_OF_SOURCE, 'if (this.#files.has(key)) throw new ArchiveError(name, "is below a file");', ""],
			[
				"packages/agents/src/builder/tar.ts",
				'else if (type === "0" || type === "\\0") files.addFile',
				"else if (type !== undefined) files.addFile",
			],
			[
				"packages/agents/src/builder/zip.ts",
				"if (type !== 0 && type !== TYPE_FILE && type !== TYPE_DIRECTORY) {",
				"if (type > TYPE_MASK) {",
			],
			["packages/agents/src/builder/archive-rules.ts", "entries: 2000,", "entries: 200_000,"],
			["packages/agents/src/builder/archive-rules.ts", "totalBytes: 64 * MIB,", "totalBytes: 256 * MIB,"],
			["packages/agents/src/builder/archive-rules.ts", "ratio: 200,", "ratio: 200_000,"],
		],
	},
	"build sandbox": {
		takes: "a root of their own for builds: the host's /etc is theirs",
		edits: [
			[
				SPEC,
				"...functionMounts(boot, place),",
				'...(boot.kind === "function" ? [] : [{ destination: "/etc", type: "bind", source: "/etc", options: ["bind", "ro"] }]), ...functionMounts(boot, place),',
			],
		],
	},
	"no shell": { reason: "There is none in the root in which packages are installed; with one it would be another root." },
	"build's own language checks": { reason: "They are the compiler's: without it there is no bundle, and nothing to attack with." },
	"time of a build": {
		takes: "the time that a build has, and an installation, and that a registry may say nothing: all are three times as long",
		edits: [
			["packages/worker/src/main.ts", "timeoutMs: settings.buildTimeoutMs,", "timeoutMs: 3 * settings.buildTimeoutMs,"],
			["packages/worker/src/main.ts", "installMs: settings.install.timeoutMs,", "installMs: 3 * settings.install.timeoutMs,"],
			["packages/worker/src/main.ts", "silenceMs: settings.install.silenceMs,", "silenceMs: 3 * settings.install.silenceMs,"],
		],
	},
	"integrity of packages": {
		takes: "what npm's and Python's packages are held against: their integrity stays out of what is installed",
		edits: [["packages/agents/src/builder/package-lock.ts", '["name", "version", "integrity",', '["name", "version",']],
	},
	"lock file's rules": {
		takes: "what a lock file may say, and that no script runs",
		edits: [
			[
				"packages/agents/src/builder/package-lock.ts",
				'	if (typeof integrity === "string" && INTEGRITY.test(integrity)) return;\n',
				"	return;\n",
			],
			[
				"packages/agents/src/builder/registry-places.ts",
				"	if (url === undefined || (url.protocol",
				'	if (url !== undefined) return `${SOMEWHERE}/${new URL(registries[0]?.url ?? "").host}${url.pathname}`;\n	if (url === undefined || (url.protocol',
			],
			["packages/agents/src/builder/installer.ts", "ignoreScripts: true,", "ignoreScripts: false,"],
		],
	},
} as const satisfies Weakenings;
