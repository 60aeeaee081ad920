import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Inventory, takeInventory, verify } from "./inventory.js";

let root: string;
let inventory: Inventory;
beforeEach(async () => {
	root = await mkdtemp(join(tmpdir(), "inventory-"));
	await mkdir(join(root, "a"));
	await writeFile(join(root, "a/one"), "1");
	await writeFile(join(root, "two"), "22", { mode: 0o600 });
	inventory = await takeInventory(root);
});
afterEach(() => rm(root, { recursive: true }));

test("names every file with its size, digest and mode", () => {
	expect(inventory.files).toMatchObject([
		{ path: "a/one", sizeBytes: 1, sha256: "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b" },
		{ path: "two", sizeBytes: 2, mode: 0o600 },
	]);
});

test("holds for what it was made of", () => expect(verify(inventory, root)).resolves.toBeUndefined());

test.each<readonly [string, () => Promise<void>, string]>([
	["of another size", () => writeFile(join(root, "two"), "222"), "two has 3 bytes, not 2"],
	["of other bytes", () => writeFile(join(root, "two"), "23"), "the bytes of two aren't those that were saved"],
	["that is gone", () => rm(join(root, "a/one")), "a/one is missing"],
	["that nobody saved", () => writeFile(join(root, "a/three"), ""), "a/three isn't in its inventory"],
	["that is a link", () => symlink("/etc/passwd", join(root, "a/link")), "a/link is neither file nor directory"],
])("refuses a file %s", async (_which, spoil, said) => {
	await spoil();
	await expect(verify(inventory, root)).rejects.toThrow(said);
});
