import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { hasTest } from "./named-tests.js";
import { ROOT } from "./pages.js";

/** A row of three cells, the last of which names tests: `["title"](path)`. */
const ROW = /^\| (.+?) \| (.+?) \| (.+) \|$/gm;
const TEST = /\["(.+?)"\]\((\S+?)\)/g;

const page = readFileSync(join(ROOT, "docs/docker.md"), "utf8");
const rows = [...page.matchAll(ROW)]
	.map(([, docker = "", berth = "", tests = ""]) => ({ docker, berth, tests }))
	.filter(({ docker }) => docker !== "Docker" && !docker.startsWith("---"));

test("the table of Docker's concepts has them all", () => {
	const named = rows.map(({ docker }) => docker).join("\n");
	for (const word of [
		"daemon",
		"client",
		"image, layers",
		"container",
		"bridge",
		"host",
		"none",
		"tmpfs",
		"volume",
		"bind mount",
		"docker build",
		"docker run",
		"docker push",
	])
		expect(named).toContain(word);
});

test.each(rows)("$docker is held by a test that is there", ({ tests }) => {
	const named = [...tests.matchAll(TEST)];
	expect(named.length).toBeGreaterThan(0);
	const absent = named.filter(([, title = "", path = ""]) => !hasTest(join(ROOT, "docs", path), title, "its beginning"));
	expect(absent.map(([whole]) => whole)).toEqual([]);
});
