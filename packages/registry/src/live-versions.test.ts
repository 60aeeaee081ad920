import type { Version } from "@berth/contracts";
import { expect, test, vi } from "vitest";
import type { Changes } from "./changes.js";
import { LiveVersions, type ReadShares, type Share } from "./live-versions.js";

const numbered = (number: number) => ({ number }) as Version;
const wholly = (number: number): readonly Share[] => [{ version: numbered(number), percent: 100 }];

function live(read: ReadShares) {
	let tell: (name: string | undefined) => void = () => undefined;
	const changes = {
		listen: (listener: typeof tell) => {
			tell = listener;
			return () => undefined;
		},
	};
	return { versions: new LiveVersions(changes as unknown as Changes, read), tell: (name: string | undefined) => tell(name) };
}

test("of many who ask at the same time one reads, and who asks after that needn't", async () => {
	const read = vi.fn(async () => wholly(1));
	const { versions } = live(read);
	await Promise.all(Array.from({ length: 50 }, () => versions.get("p", "f")));
	await versions.get("p", "f");
	expect(read).toHaveBeenCalledTimes(1);
});

test("news that come while it is read make the next one read again", async () => {
	const first = Promise.withResolvers<readonly Share[]>();
	const read = vi.fn().mockReturnValueOnce(first.promise).mockResolvedValue(wholly(2));
	const { versions, tell } = live(read);
	const early = versions.get("p", "f");
	tell("p/f");
	expect(await versions.get("p", "f")).toEqual(numbered(2));
	first.resolve(wholly(1));
	expect(await early).toEqual(numbered(1));
	expect(await versions.get("p", "f")).toEqual(numbered(2));
});

test("news of another function change nothing; of everything, everything", async () => {
	const read = vi.fn(async () => wholly(1));
	const { versions, tell } = live(read);
	await versions.get("p", "f");
	tell("p/g");
	await versions.get("p", "f");
	expect(read).toHaveBeenCalledTimes(1);
	tell(undefined);
	await versions.get("p", "f");
	expect(read).toHaveBeenCalledTimes(2);
});

test("a failure isn't remembered", async () => {
	const read = vi.fn().mockRejectedValueOnce(new Error("away")).mockResolvedValue(wholly(1));
	const { versions } = live(read);
	await expect(versions.get("p", "f")).rejects.toThrow("away");
	expect(await versions.get("p", "f")).toEqual(numbered(1));
});

test("aliases and numbers are remembered apart, and forgotten together", async () => {
	const read = vi.fn<ReadShares>(async (_project, _name, selector) => wholly("version" in selector ? selector.version : 1));
	const { versions, tell } = live(read);
	for (let round = 0; round < 2; round++) {
		expect(await versions.get("p", "f")).toEqual(numbered(1));
		expect(await versions.get("p", "f", { alias: "canary" })).toEqual(numbered(1));
		expect(await versions.get("p", "f", { version: 7 })).toEqual(numbered(7));
	}
	expect(read).toHaveBeenCalledTimes(3);
	tell("p/f");
	await versions.get("p", "f", { alias: "canary" });
	await versions.get("p", "f", { version: 7 });
	expect(read).toHaveBeenCalledTimes(5);
});

test("of a split each version is chosen as often as its share says", async () => {
	const { versions } = live(async () => [
		{ version: numbered(3), percent: 90 },
		{ version: numbered(4), percent: 9 },
		{ version: numbered(5), percent: 1 },
	]);
	const chosen = new Map<number, number>();
	const draws = 20_000;
	for (let i = 0; i < draws; i++) {
		const { number } = await versions.get("p", "f");
		chosen.set(number, (chosen.get(number) ?? 0) + 1);
	}
	// Six standard deviations: one run in hundreds of millions is off by that.
	for (const [number, share] of [
		[3, 0.9],
		[4, 0.09],
		[5, 0.01],
	] as const) {
		const tolerance = 6 * Math.sqrt(draws * share * (1 - share));
		expect(Math.abs((chosen.get(number) ?? 0) - draws * share)).toBeLessThan(tolerance);
	}
});
