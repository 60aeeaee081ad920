import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { ROOT } from "./pages.js";

const PROFILE = join(ROOT, "infra/apparmor/berth-sandbox");

/** Compiles a profile, and loads it nowhere. @throws Error with what is wrong with it */
const parse = (path: string) => promisify(execFile)("apparmor_parser", ["--skip-kernel-load", "--skip-cache", path]);

test("infra/apparmor/berth-sandbox is a profile, by the name that the documents have for it", async () => {
	await parse(PROFILE);
	const { stdout } = await promisify(execFile)("apparmor_parser", ["--names", PROFILE]);
	expect(stdout.trim()).toBe("berth-sandbox");
	expect(readFileSync(join(ROOT, "docs/settings.md"), "utf8")).toContain("`berth-sandbox`");
});

test("what isn't one is found", async () => {
	const directory = mkdtempSync(join(tmpdir(), "berth-profile-"));
	try {
		const path = join(directory, "profile");
		writeFileSync(path, readFileSync(PROFILE, "utf8").replace("network inet stream,", "network inet steam,"));
		await expect(parse(path)).rejects.toThrow(/Invalid network entry/);
	} finally {
		rmSync(directory, { recursive: true });
	}
});
