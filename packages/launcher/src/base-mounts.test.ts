import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { checkMountPoints, codeOverlayOptions } from "./base-mounts.js";
import { LayerStore } from "./layers.js";
import { MAX_LAYERS } from "./requests.js";
import { digestOf, tar } from "./testing/tar.js";

test("an overlay of the most layers there may be, in the longest data directory, fits into the page that mount(2) takes", async () => {
	const directory = mkdtempSync(join(tmpdir(), "overlay-"));
	try {
		const store = new LayerStore(directory);
		const layers = Array.from({ length: MAX_LAYERS }, (_, index) => tar({ name: `function/code/file${index}` }));
		for (const bytes of layers) {
			const receiver = await store.receive(digestOf(bytes));
			await receiver.write(bytes);
			await receiver.finish();
		}
		const digests = layers.map(digestOf);
		const options = codeOverlayOptions(store, digests);
		const paths = options.slice("lowerdir=".length).split(":");
		// The topmost first, and an empty one below all: an overlay wants two.
		expect(paths).toEqual([...digests.map((digest) => join(store.path(digest), "function/code")).reverse(), store.emptyLayer]);
		const longest = 64 + "/launcher".length - directory.length;
		expect(options.length + longest * paths.length).toBeLessThan(4096);
	} finally {
		rmSync(directory, { recursive: true });
	}
});

test("what a layer has in place of the function's directory is refused: a link would be followed by root", async () => {
	const directory = mkdtempSync(join(tmpdir(), "overlay-"));
	try {
		const store = new LayerStore(directory);
		const bytes = tar({ name: "function/code/index.cjs" });
		const receiver = await store.receive(digestOf(bytes));
		await receiver.write(bytes);
		await receiver.finish();
		const place = join(store.path(digestOf(bytes)), "function");
		expect(codeOverlayOptions(store, [digestOf(bytes)])).toContain(place);
		renameSync(place, `${place}.away`);
		expect(() => codeOverlayOptions(store, [digestOf(bytes)])).toThrow("isn't a directory");
		symlinkSync(`${place}.away`, place);
		expect(() => codeOverlayOptions(store, [digestOf(bytes)])).toThrow("isn't a directory");
	} finally {
		rmSync(directory, { recursive: true });
	}
});

test("an image is a root only if everything that is mounted into it has a place that isn't behind a link", () => {
	const outside = mkdtempSync(join(tmpdir(), "outside-"));
	const root = mkdtempSync(join(tmpdir(), "root-"));
	try {
		for (const name of ["proc", "dev", "tmp", "berth", "function", "run/berth"]) mkdirSync(join(root, name), { recursive: true });
		expect(() => checkMountPoints(root)).toThrow("/run/berth/agent.sock of the root isn't a file");
		writeFileSync(join(root, "run/berth/agent.sock"), "");
		checkMountPoints(root);
		mkdirSync(join(outside, "berth"));
		writeFileSync(join(outside, "berth/agent.sock"), "");
		for (const [name, target] of [
			["proc", "/"],
			["berth", outside],
			["run", outside],
		] as const) {
			renameSync(join(root, name), join(root, "kept"));
			symlinkSync(target, join(root, name));
			expect(() => checkMountPoints(root)).toThrow(`/${name} of the root isn't a directory`);
			rmSync(join(root, name));
			renameSync(join(root, "kept"), join(root, name));
		}
		checkMountPoints(root);
	} finally {
		for (const directory of [outside, root]) rmSync(directory, { recursive: true });
	}
});
