import { MIB } from "@berth/contracts";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { ToldCounts } from "./push-progress.js";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test("who waits for a push hears how far it is, for how long the registry has said nothing, and nothing once it is over", () => {
	const said: string[] = [];
	const counts = new ToldCounts(new AbortController().signal, "images.test", (text) => said.push(text));
	{
		using _ = counts;
		vi.advanceTimersByTime(9999);
		expect(said).toEqual(["images.test has said nothing for 5 s: the image is to be put there"]);
		counts.begin({ blobs: 3, totalBytes: 5 * MIB });
		counts.present(MIB);
		counts.moved(1.5 * MIB);
		vi.advanceTimersByTime(1);
		expect(said.at(-1)).toBe("1.5 of 4.0 MiB of the image were sent to images.test");
		vi.advanceTimersByTime(10_000);
		expect(said.slice(2)).toEqual([5, 10].map((seconds) => `images.test has said nothing for ${seconds} s: the image is to be put there`));
		expect(counts.sentBlobs).toBe(2);
	}
	vi.advanceTimersByTime(60_000);
	expect(said).toHaveLength(4);
});
