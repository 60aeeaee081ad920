import { existsSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { expect, test } from "vitest";
import { pages, ROOT } from "./pages.js";

/** `[text](target)` outside code. */
const LINK = /\[[^\]]*\]\(([^)\s]+)\)/g;

/** What a heading is called in a link: as GitHub makes it. */
function anchorOf(heading: string): string {
	return heading
		.toLowerCase()
		.replace(/[^\p{L}\p{N}\s_-]/gu, "")
		.trim()
		.replace(/\s/g, "-");
}

function withoutCode(text: string): string {
	return text.replace(/^```.*?^```/gms, "").replace(/`[^`\n]*`/g, "");
}

function anchorsOf(path: string): ReadonlySet<string> {
	const text = readFileSync(path, "utf8").replace(/^```.*?^```/gms, "");
	return new Set([...text.matchAll(/^#+ (.+)$/gm)].map(([, heading]) => anchorOf(heading as string)));
}

/** What is wrong with a link; undefined when it leads somewhere. */
function problemOf(page: string, target: string): string | undefined {
	const [path = "", anchor] = target.split("#", 2);
	const file = path === "" ? page : resolve(dirname(page), path);
	if (!existsSync(file)) return `${target}: there is no ${relative(ROOT, file)}`;
	if (anchor !== undefined && file.endsWith(".md") && !anchorsOf(file).has(anchor)) return `${target}: no such heading`;
	return undefined;
}

test.each(pages())("every link of %s within the project leads somewhere", (name) => {
	const page = join(ROOT, name);
	const targets = [...withoutCode(readFileSync(page, "utf8")).matchAll(LINK)].map(([, target]) => target as string);
	const own = targets.filter((target) => !/^[a-z]+:/.test(target));
	expect(own.flatMap((target) => problemOf(page, target) ?? [])).toEqual([]);
});

test("there are pages to look at", () => {
	expect(pages()).toEqual(expect.arrayContaining(["README.md", "CHANGELOG.md", "SPECIFICATION.md", "docs/ARCHITECTURE.md"]));
});
