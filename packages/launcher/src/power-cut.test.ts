import { execFileSync } from "node:child_process";
import {
	closeSync,
	copyFileSync,
	existsSync,
	fsyncSync,
	mkdirSync,
	mkdtempSync,
	openSync,
	readFileSync,
	rmSync,
	truncateSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { LayerStore } from "./layers.js";
import { digestOf, tar } from "./testing/tar.js";

const DISK_BYTES = 64 * 1024 * 1024;

/** Mounts a disk's file for the length of the test. */
function attach(disk: string, at: string): void {
	mkdirSync(at);
	execFileSync("mount", ["-o", "loop", disk, at]);
	onTestFinished(() => void execFileSync("umount", [at]));
}

/** A copy of the disk as it is at this moment: what the kernel hasn't written yet isn't on it. */
function cutPower(disk: string, copy: string): void {
	copyFileSync(disk, copy);
}

test("a layer that is there after a power cut is whole", ({ skip }) => {
	if (process.getuid?.() !== 0 || !existsSync("/dev/loop-control")) skip("needs root and loop devices");
	return survive();
});

async function survive(): Promise<void> {
	const directory = mkdtempSync(join(tmpdir(), "power-cut-"));
	onTestFinished(() => rmSync(directory, { recursive: true }));
	const [disk, after] = [join(directory, "disk"), join(directory, "after")];
	writeFileSync(disk, "");
	truncateSync(disk, DISK_BYTES);
	execFileSync("mkfs.ext4", ["-q", "-F", disk]);
	attach(disk, join(directory, "before-cut"));
	const store = new LayerStore(join(directory, "before-cut"));
	const content = "export default 1;\n".repeat(10_000);
	const layer = tar({ name: "code/index.mjs", content });
	const receiver = await store.receive(digestOf(layer));
	await receiver.write(layer);
	await receiver.finish();
	// The name is on disk, as it would be by itself within some seconds.
	const names = openSync(join(directory, "before-cut", "layers"), "r");
	fsyncSync(names);
	closeSync(names);
	cutPower(disk, after);
	attach(after, join(directory, "after-cut"));
	const next = new LayerStore(join(directory, "after-cut"));
	expect(next.has(digestOf(layer))).toBe(true);
	expect(readFileSync(join(next.path(digestOf(layer)), "code/index.mjs"), "utf8") === content).toBe(true);
}
