import { chmod, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { settingsWith } from "@berth/config";
import { afterEach, beforeEach, expect, test } from "vitest";
import { placeObstacle } from "./place.js";

let directory: string;
beforeEach(async () => {
	directory = await mkdtemp(join(tmpdir(), "berth-place-"));
	await chmod(directory, 0o755);
});
afterEach(() => rm(directory, { recursive: true }));

const obstacleAt = (name: string) => placeObstacle(settingsWith({ BERTH_DATA_DIR: join(directory, name) }, {}));

test("what isn't there yet, is empty, or is Berth's, is a data directory; looking makes nothing", async () => {
	expect(await obstacleAt("new/one")).toBeUndefined();
	expect(await readdir(directory)).toEqual([]);
	await mkdir(join(directory, "data", "lost+found"), { recursive: true });
	expect(await obstacleAt("data")).toBeUndefined();
	// A start that was cut short.
	await mkdir(join(directory, "data", "run"));
	expect(await obstacleAt("data")).toBeUndefined();
	await mkdir(join(directory, "data", "launcher"));
	await writeFile(join(directory, "data", "NOTES"), "");
	expect(await obstacleAt("data")).toBeUndefined();
});

test("a directory of somebody else's isn't taken over: its owner and mode would be changed", async () => {
	await writeFile(join(directory, "precious"), "");
	expect(await obstacleAt(".")).toMatchObject({ what: expect.stringContaining("precious"), mend: expect.stringContaining("--data") });
});

test("needs parents that others can search: the first that isn't is named", async () => {
	await chmod(directory, 0o700);
	expect(await obstacleAt("a/data")).toMatchObject({
		what: expect.stringContaining(`${directory} isn't searchable`),
		mend: expect.stringContaining(`chmod o+x ${directory}`),
	});
});

test("a file or a link in its place, or above it, is named", async () => {
	await writeFile(join(directory, "file"), "");
	await mkdir(join(directory, "real"));
	await symlink(join(directory, "real"), join(directory, "link"));
	expect(await obstacleAt("file")).toMatchObject({ what: `${join(directory, "file")} is no directory` });
	expect(await obstacleAt("file/below/it")).toMatchObject({ what: expect.stringContaining(`${join(directory, "file")} is no directory`) });
	expect(await obstacleAt("link")).toMatchObject({ mend: expect.stringContaining(`--data ${join(directory, "real")}`) });
});
