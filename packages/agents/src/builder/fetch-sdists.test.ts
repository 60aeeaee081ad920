import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, expect, test } from "vitest";

const WHEELS = "/usr/share/python-wheels";
const PIP = join(WHEELS, readdirSync(WHEELS).find((name) => name.startsWith("pip-")) ?? "");
/** An archive with nothing in it. */
const SDIST = gzipSync(Buffer.alloc(1024));
/** What is said of each version, in the words of PEP 691. */
const VERSIONS = {
	"1.0": {},
	"1.1": { "requires-python": ">=3.8" },
	"1.2": { "requires-python": "what?" },
	"2.0": { yanked: "broken" },
	"3.0": { "requires-python": ">=99 , !=2.7.*" },
} as const;
const fileOf = (version: string) => `thing-${version}.tar.gz`;

let index: Server;
let asHtml: boolean;
beforeAll(async () => {
	index = createServer(({ url = "" }, response) => {
		if (url.startsWith("/files/")) response.end(SDIST);
		else response.setHeader("content-type", asHtml ? "text/html" : "application/vnd.pypi.simple.v1+json").end(asHtml ? html() : json());
	});
	await once(index.listen(0, "127.0.0.1"), "listening");
});
afterAll(() => index.close());

function json(): string {
	const files = Object.entries(VERSIONS).map(([version, said]) => ({
		filename: fileOf(version),
		url: `/files/${fileOf(version)}`,
		hashes: {},
		...said,
	}));
	return JSON.stringify({ files });
}

function html(): string {
	const links = Object.entries<{ "requires-python"?: string; yanked?: string }>(VERSIONS).map(([version, said]) => {
		const python = said["requires-python"];
		const words = [
			python === undefined ? "" : `data-requires-python="${python.replace(">", "&gt;")}"`,
			said.yanked === undefined ? "" : "data-yanked",
		];
		return `<a href="/files/${fileOf(version)}" ${words.join(" ")}>${fileOf(version)}</a>`;
	});
	return `<html><body>${links.join("<br>")}</body></html>`;
}

async function fetched(requirement: string): Promise<{ readonly files: readonly string[]; readonly error?: string }> {
	const directory = mkdtempSync(join(tmpdir(), "sdists-"));
	try {
		const url = `http://127.0.0.1:${(index.address() as AddressInfo).port}/simple/`;
		const running = promisify(execFile)("/usr/bin/python3", [
			"-I",
			"-B",
			join(import.meta.dirname, "fetch_sdists.py"),
			PIP,
			url,
			directory,
		]);
		running.child.stdin?.end(`${requirement}\n`);
		return { ...(JSON.parse((await running).stdout) as { error?: string }), files: readdirSync(directory) };
	} finally {
		rmSync(directory, { recursive: true });
	}
}

test.each([
	["JSON", false],
	["HTML", true],
])("of an index in %s the newest source is taken that is for this Python and not withdrawn, but for one that is named", async (_, is) => {
	asHtml = is;
	expect((await fetched("thing")).files).toEqual([fileOf("1.2")]);
	expect((await fetched("thing<1.2")).files).toEqual([fileOf("1.1")]);
	expect((await fetched("thing==2.0")).files).toEqual([fileOf("2.0")]);
	expect(await fetched("thing>=2")).toMatchObject({
		files: [],
		error: expect.stringMatching(
			/no source distribution that fits thing>=2 \(those of thing: 1\.0, 1\.1, 1\.2; not for Python 3\.[\d.]+: 3\.0\)/,
		),
	});
});
