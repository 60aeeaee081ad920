import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
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
	for (const [, title = "", path = ""] of named) {
		const file = join(ROOT, "docs", path);
		expect([
			title,
			existsSync(file) && new RegExp(`(?:test|it|describe)[\\s\\S]{0,400}?["\`]${escaped(title)}`).test(readFileSync(file, "utf8")),
		]).toEqual([title, true]);
	}
});

function escaped(text: string): string {
	return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
