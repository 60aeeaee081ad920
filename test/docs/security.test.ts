import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { DEPENDENCY_LIMITS, EGRESS_LIMITS, FIXED_LIMITS, LIMITS, MIB } from "@berth/contracts";
import { describe, expect, test } from "vitest";
import { MASKED_PATHS, READONLY_PATHS, RLIMITS, UID_RANGE } from "../../packages/sandbox/src/container-spec.js";
import { hasTest } from "./named-tests.js";
import { ROOT } from "./pages.js";

const page = readFileSync(join(ROOT, "docs/SECURITY.md"), "utf8");

/** From a heading of the second level to the next. */
function section(title: string): string {
	const [, text = ""] = page.split(`\n## ${title}\n`);
	return text.split("\n## ")[0] ?? "";
}

/** The rows of three cells in it, but heads and rules. */
function rowsOf(text: string) {
	return [...text.matchAll(/^\| (.+?) \| (.+?) \| (.+) \|$/gm)]
		.map(([, promise = "", holder = "", tests = ""]) => ({ promise, holder, tests }))
		.filter(({ promise }) => promise !== "promise" && !promise.startsWith("---"));
}

const promises = rowsOf(section("What is promised"));

describe("what is promised", () => {
	test("is something, in each of its parts", () => {
		const parts = section("What is promised").split("\n### ").slice(1);
		expect(parts.map((part) => part.split("\n")[0])).toEqual([
			"Of a sandbox",
			"Of networks and storage",
			"Of builds and images",
			"Of the platform",
		]);
		for (const part of parts) expect(rowsOf(part).length).toBeGreaterThan(5);
	});

	test.each(promises)("is tried, by a test that is there: $promise", ({ tests }) => {
		const named = [...tests.matchAll(/\["(.+?)"\]\((\S+?)\)/g)];
		expect(named.length).toBeGreaterThan(0);
		const absent = named.filter(([, title = "", path = ""]) => !hasTest(join(ROOT, "docs", path), title, "its beginning"));
		expect(absent.map(([whole]) => whole)).toEqual([]);
	});

	test("is held by files that are there, where it names some", () => {
		const files = promises.flatMap(({ holder }) =>
			[...holder.matchAll(/`((?:packages|infra)\/[\w./-]+)`/g)].map(([, path]) => path as string),
		);
		expect(files.length).toBeGreaterThan(0);
		expect(files.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
	});
});

test("who attacks is said, and what isn't promised", () => {
	expect(rowsOf(section("Who attacks")).length).toBeGreaterThan(8);
	for (const word of ["kernel", "side channels", "Page-cache timing", "any load"]) expect(section("What isn't promised")).toContain(word);
});

test("the page's numbers are the code's", () => {
	const number = (value: number) => value.toLocaleString("en-US");
	const rlimit = (type: string) => RLIMITS.find((each) => each.type === `RLIMIT_${type}`)?.hard ?? Number.NaN;
	const names = (paths: readonly string[]) => paths.map((path) => path.replace("/proc/", "")).join(", ");
	const sandbox = section("A sandbox");
	for (const said of [
		`a range of ${number(UID_RANGE)} host ids`,
		`masked: ${names(MASKED_PATHS)}; read-only: ${names(READONLY_PATHS)} |`,
		`NOFILE ${rlimit("NOFILE")}, CORE ${rlimit("CORE")}, FSIZE ${rlimit("FSIZE") / MIB / 1024} GiB, MEMLOCK ${rlimit("MEMLOCK") / 1024} KiB`,
		`SIGPENDING ${rlimit("SIGPENDING")}, STACK ${rlimit("STACK") / MIB} MiB`,
		`${FIXED_LIMITS.pids} tasks`,
		`${number(FIXED_LIMITS.tmpfsInodes)} inodes`,
	])
		expect(sandbox).toContain(said);
	expect(rlimit("NOFILE")).toBe(FIXED_LIMITS.openFiles);
	expect(rlimit("FSIZE")).toBe(LIMITS.tmpfsMiB.max * MIB);
	const { fetchBytes, recordBytes, fetchedBytes, fetches, silenceMs } = DEPENDENCY_LIMITS;
	expect(section("Builds")).toContain(
		`each answer (${fetchBytes / MIB} MiB, a record of a package's versions ${recordBytes / MIB} MiB), their sum (${fetchedBytes / MIB} MiB), their number (${number(fetches)}) and silence (${silenceMs / 1000} s)`,
	);
	const { connections, projectConnections, openingsPerSecond, openingsAtOnce, bytes, lines } = EGRESS_LIMITS;
	const boundaries = section("Trust boundaries");
	expect(boundaries).toContain(`${connections} connections a sandbox, ${number(projectConnections)} a project`);
	expect(boundaries).toContain(`${openingsPerSecond} openings a second after ${openingsAtOnce} at once`);
	expect(boundaries).toContain(`${bytes / MIB / 1024} GiB an invocation, ${lines} lines of refusals`);
	expect(boundaries).toContain(`cut at ${FIXED_LIMITS.logBytes / MIB} MiB`);
});
