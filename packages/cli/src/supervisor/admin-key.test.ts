import { createHash } from "node:crypto";
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadSettings } from "@berth/config";
import { afterEach, beforeEach, expect, test } from "vitest";
import { checkAdminKey } from "../doctor/key-file.js";
import { ensureAdminKey, readAdminKey } from "./admin-key.js";
import { closeToOthers } from "./owned-file.js";

let directory: string;
let paths: ReturnType<typeof loadSettings>["paths"];
beforeEach(async () => {
	directory = await mkdtemp(join(tmpdir(), "berth-key-"));
	({ paths } = loadSettings({ BERTH_DATA_DIR: directory }));
});
afterEach(() => rm(directory, { recursive: true }));

const sha256Of = (key: string | null) =>
	createHash("sha256")
		.update(key ?? "")
		.digest("hex");

test("the first key is on disk before anybody hears of it, for its owner alone", async () => {
	const { sha256, made } = await ensureAdminKey(paths);
	expect(made).toMatch(/^berth_[\w-]{43}$/);
	expect(sha256).toBe(sha256Of(made));
	expect(await readFile(paths.adminKey, "utf8")).toBe(`${made}\n`);
	expect((await stat(paths.adminKey)).mode & 0o777).toBe(0o600);
});

test("a key that is there stays the key, and isn't shown again: whoever holds it isn't locked out", async () => {
	const { made } = await ensureAdminKey(paths);
	expect(await ensureAdminKey(paths)).toEqual({ sha256: sha256Of(made), made: null });
	expect(await readAdminKey(paths)).toBe(made);
});

test("doctor says who else than root may read the key; a start leaves it to root", async () => {
	expect(await checkAdminKey({ paths })).toEqual([]);
	await ensureAdminKey(paths);
	expect(await checkAdminKey({ paths })).toMatchObject([{ name: "operator's key", status: "ok" }]);
	expect(await closeToOthers(paths.adminKey)).toBeUndefined();
	await chmod(paths.adminKey, 0o644);
	expect(await checkAdminKey({ paths })).toMatchObject([
		{ status: "warning", found: expect.stringMatching(/mode 644/), mend: expect.stringMatching(/chmod 600 .*replace it/) },
	]);
	expect(await closeToOthers(paths.adminKey)).toBe(0o644);
	expect((await stat(paths.adminKey)).mode & 0o777).toBe(0o600);
	expect(await checkAdminKey({ paths })).toMatchObject([{ status: "ok" }]);
});

test.each(["", "berth_", "garbage", `berth_${"x".repeat(42)}`])(
	"%j in its place is a lost key: a new one takes its place",
	async (text) => {
		await writeFile(paths.adminKey, text, { mode: 0o644 });
		const { made } = await ensureAdminKey(paths);
		expect(await readAdminKey(paths)).toBe(made);
		expect((await stat(paths.adminKey)).mode & 0o777).toBe(0o600);
	},
);
