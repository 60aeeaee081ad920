import { PassThrough } from "node:stream";
import { type ImageTransfer, MIB } from "@berth/contracts";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Terminal } from "../terminal.js";
import { TransferProgress } from "./transfer-progress.js";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test("who waits for an image hears how much of it has moved, and for how long nothing has", () => {
	const stderr = new PassThrough();
	const progress = new TransferProgress(new Terminal(new PassThrough(), stderr, false));
	const told = (afterMs: number, fields: Partial<ImageTransfer>) => {
		vi.advanceTimersByTime(afterMs);
		const reference = "images.test/hello:1";
		progress.show({
			kind: "push",
			reference,
			state: "running",
			blobs: 0,
			present: 0,
			totalBytes: 0,
			movedBytes: 0,
			...fields,
		} as ImageTransfer);
		return String(stderr.read() ?? "");
	};
	expect(told(0, { revision: 1 })).toBe("");
	expect(told(4000, { revision: 1 })).toBe("  less than 1 MiB has moved in 4 s\n");
	expect(told(4000, { revision: 1 })).toBe("  less than 1 MiB has moved in 8 s\n");
	const image = { blobs: 4, totalBytes: 4 * MIB };
	expect(told(1000, { revision: 2, ...image })).toBe("pushing to images.test/hello:1: 4 blobs\n");
	expect(told(1000, { revision: 3, ...image, movedBytes: MIB })).toMatch(/1\S* MiB of 4\S* MiB/);
	expect(told(4000, { revision: 3, ...image, movedBytes: MIB })).toBe("  less than 1 MiB has moved in 4 s\n");
	expect(told(0, { revision: 4, ...image, movedBytes: 4 * MIB, state: "done" })).toMatch(
		/^0 of 4 blobs were there already, 4\S* MiB moved\n$/,
	);
});
