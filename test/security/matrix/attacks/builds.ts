import { gzipSync } from "node:zlib";
import { expect } from "vitest";
import { type TarEntry, tarGz, type ZipEntry, zip } from "../../../harness/archives.js";
import type { Rows, TriedBuild } from "../attack.js";
import { named } from "../named.js";

const FUNCTION = { path: "index.js", body: "export default () => 'ok';" };
const MIB = 1024 * 1024;

const except = { runsc: "builds by the node" } as const;
const rejected = { status: 422, code: "archive_rejected" };
const failed = { status: 422, code: "build_failed" };

/** A tar that has a function, and these beside it. */
const tars = (entries: (mark: string) => readonly TarEntry[]): TriedBuild => ({
	heldBy: ["archive rules"],
	archive: (mark) => ({ kind: "tar.gz", bytes: tarGz(FUNCTION, ...entries(mark)) }),
	except,
	refused: rejected,
});

const zips = (entries: (mark: string) => readonly ZipEntry[]): TriedBuild => ({
	heldBy: ["archive rules"],
	archive: (mark) => ({ kind: "zip", bytes: zip(FUNCTION, ...entries(mark)) }),
	except,
	refused: rejected,
});

const source = (body: string, refused: object): TriedBuild => ({
	heldBy: ["build's own language checks"],
	archive: () => ({ kind: "tar.gz", bytes: tarGz({ path: "index.ts", body }) }),
	except,
	refused: { ...failed, ...refused },
});

export const builds: Rows<"Build"> = {
	"zip-slip": zips((mark) => [{ path: `../../../../tmp/${mark}`, body: "x" }]),
	"a path upwards in a tar": tars((mark) => [{ path: `a/../../../../tmp/${mark}`, body: "x" }]),
	"absolute paths": tars((mark) => [{ path: `/etc/${mark}`, body: "x" }]),
	"symbolic links in a tar": tars((mark) => [
		{ path: "out", type: "2", link: "/tmp" },
		{ path: `out/${mark}`, body: "x" },
	]),
	"hard links in a tar": tars(() => [{ path: "link.js", type: "1", link: "/etc/passwd" }]),
	"circular links": tars(() => [
		{ path: "a", type: "2", link: "b" },
		{ path: "b", type: "2", link: "a" },
	]),
	"symbolic links in a zip": zips(() => [{ path: "link.js", body: "/etc/passwd", mode: 0o120777 }]),
	"devices in a tar": tars((mark) => [
		{ path: mark, type: "3" },
		{ path: `${mark}-disk`, type: "4" },
	]),
	"NUL in a name": zips(() => [{ path: "escape.js\0.png", body: "x" }]),
	"a name twice": tars(() => [{ path: "./index.js", body: "export default () => 'other';" }]),
	"a decompression bomb": {
		heldBy: ["archive rules"],
		archive: () => ({ kind: "tar.gz", bytes: gzipSync(Buffer.alloc(100 * MIB)) }),
		except,
		refused: rejected,
	},
	"too many entries": tars(() => Array.from({ length: 30_000 }, (_, index) => ({ path: `f${index}.js` }))),
	"invalid TypeScript": source("export default () => {\n\tconst one = ;\n};\n", {
		diagnostics: [expect.objectContaining({ line: 2, column: 14 })],
	}),
	"a missing import": source("import x from 'left-pad';\nexport default () => x;", {
		diagnostics: [expect.objectContaining({ message: expect.stringContaining("left-pad") })],
	}),
	"a missing dependency": named(
		"the same sandbox",
		["time of a build"],
		["test/functional/dependencies.test.ts", "because the registry hasn't the package are refused with npm's words"],
		["test/functional/dependencies.test.ts", "because the registry fails are the platform's fault, and may be had later"],
		[
			"test/functional/dependency-bounds.test.ts",
			"a registry that says nothing is given up, and the same deploy works when it speaks again",
		],
	),
	"importing the host's files": named(
		"the same sandbox",
		[["build sandbox", "build's own language checks"]],
		["test/security/builds.test.ts", "by importing /etc/passwd gets nothing"],
		["test/security/builds.test.ts", "a source that reaches for the machine that builds it"],
	),
	"a postinstall that forks": named(
		"the same sandbox",
		["cgroup pids"],
		["test/security/dependencies.test.ts", "that forks without end meets the cap of processes, and the next build works"],
	),
	"a postinstall that reads": named(
		"the same sandbox",
		["build sandbox"],
		["test/security/dependencies.test.ts", "sees nothing of the host, of another project's, or of the source"],
	),
	"a postinstall that sends": named(
		"the same sandbox",
		["network namespace"],
		["test/security/dependencies.test.ts", "reaches neither the registry, nor the platform, nor anything else"],
	),
	"a postinstall that nobody allowed": named(
		"the same sandbox",
		[["lock file's rules", "no shell"]],
		["test/security/dependencies.test.ts", "runs no script of a package's or of the source's"],
	),
	"a hanging build": named(
		"the same sandbox",
		["time of a build"],
		["test/functional/dependency-bounds.test.ts", "an install script that never ends is stopped, with what it said"],
		[
			"test/functional/dependency-bounds.test.ts",
			"an installation that takes too long is stopped; what it waited for is said, and the same deploy works later",
		],
		[
			"test/functional/dependency-bounds.test.ts",
			"a source that esbuild never comes to an end with is stopped at the build's time, esbuild with it, and the next one is built",
		],
	),
	"an integrity mismatch": named(
		"the same sandbox",
		["integrity of packages"],
		["test/functional/dependencies.test.ts", "because the bytes are others than the lock file's are refused"],
		["test/functional/python-packages.test.ts", "because its bytes aren't those that the index says is told so"],
	),
	"a lock file that leads elsewhere": named(
		"the same sandbox",
		["lock file's rules"],
		["test/security/dependencies.test.ts", "of %s is refused before anything is fetched"],
		["test/security/dependencies.test.ts", "asks the registry for nothing but what the lock file names, and only by GET"],
		["test/security/dependencies.test.ts", "isn't led elsewhere by a registry that redirects"],
	),
};
