import type { Version } from "@berth/contracts";
import { expect, test, vi } from "vitest";
import type { Changes } from "./changes.js";
import { LiveVersions } from "./live-versions.js";

const numbered = (number: number) => ({ number }) as Version;

function live(read: () => Promise<Version>) {
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
	const read = vi.fn(async () => numbered(1));
	const { versions } = live(read);
	await Promise.all(Array.from({ length: 50 }, () => versions.get("p", "f")));
	await versions.get("p", "f");
	expect(read).toHaveBeenCalledTimes(1);
});

test("news that come while it is read make the next one read again", async () => {
	const first = Promise.withResolvers<Version>();
	const read = vi.fn().mockReturnValueOnce(first.promise).mockResolvedValue(numbered(2));
	const { versions, tell } = live(read);
	const early = versions.get("p", "f");
	tell("p/f");
	expect(await versions.get("p", "f")).toEqual(numbered(2));
	first.resolve(numbered(1));
	expect(await early).toEqual(numbered(1));
	expect(await versions.get("p", "f")).toEqual(numbered(2));
});

test("news of another function change nothing; of everything, everything", async () => {
	const read = vi.fn(async () => numbered(1));
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
	const read = vi.fn().mockRejectedValueOnce(new Error("away")).mockResolvedValue(numbered(1));
	const { versions } = live(read);
	await expect(versions.get("p", "f")).rejects.toThrow("away");
	expect(await versions.get("p", "f")).toEqual(numbered(1));
});
