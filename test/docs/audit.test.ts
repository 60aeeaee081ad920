import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, expect, test } from "vitest";

const VERIFY = join(import.meta.dirname, "../../scripts/verify.mjs");
const BULK = "/-/npm/v1/security/advisories/bulk";
let server: Server;
/** npm's, which keeps what it made of an advisory. */
let cache: string;
beforeEach(() => {
	cache = mkdtempSync(join(tmpdir(), "berth-audit-"));
});
afterEach(() => {
	server.close();
	rmSync(cache, { recursive: true });
});

/** A registry that knows these advisories, or that has no list of them. */
async function registry(advisories: Readonly<Record<string, readonly object[]>> | undefined): Promise<string> {
	server = createServer((request, response) => {
		const packument = { name: "express", "dist-tags": {}, versions: {} };
		const answer = request.url === BULK ? advisories : packument;
		response.writeHead(answer === undefined ? 405 : 200, { "content-type": "application/json" }).end(JSON.stringify(answer ?? {}));
	});
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

async function verified(url: string): Promise<readonly [number, string]> {
	const env = { ...process.env, npm_config_registry: url, npm_config_cache: cache };
	return await promisify(execFile)(process.execPath, [VERIFY, "audit"], { env }).then(
		({ stdout }) => [0, stdout] as const,
		({ code, stdout, stderr }) => [code, stdout + stderr] as const,
	);
}

const HOLE = { id: 1, url: "https://advisories.example/1", title: "A hole", vulnerable_versions: ">=0.0.1" };

test("a dependency that is known to have a severe hole fails, and is named with what is wrong and where to read of it", async () => {
	const [code, said] = await verified(await registry({ express: [{ ...HOLE, severity: "high" }] }));
	expect([code, said]).toEqual([1, expect.stringContaining("express >=0.0.1 (high): A hole, https://advisories.example/1")]);
});

test("what is known and isn't severe, and nothing, pass", async () => {
	expect(await verified(await registry({ express: [{ ...HOLE, severity: "low" }] }))).toEqual([0, expect.stringMatching(/^ok +audit/)]);
});

test("a registry that can't be asked is told as that, and taken for no answer", async () => {
	expect(await verified(await registry(undefined))).toEqual([0, expect.stringMatching(/^UNKNOWN audit.*405/)]);
});
