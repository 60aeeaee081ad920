import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { MIB } from "@berth/contracts";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Children } from "../children.js";
import { Volumes } from "./volumes.js";

const [ONE, OTHER] = ["0123456789abcdef".repeat(2), "f".repeat(32)] as const;

/** Not where the system's temporary files are: those may be in memory. */
let directory: string;
let opened: Volumes[];
const open = (budgetMiB = 64) => {
	const volumes = new Volumes(directory, budgetMiB * MIB, new Children());
	opened.push(volumes);
	return volumes;
};
const names = () => readdirSync(join(directory, "volumes")).sort();
const devices = () => readdirSync("/sys/block").filter((name) => backing(name).startsWith(directory));

function backing(device: string): string {
	const path = `/sys/block/${device}/loop/backing_file`;
	return existsSync(path) ? readFileSync(path, "utf8") : "";
}

beforeEach(() => {
	directory = mkdtempSync("/var/tmp/berth-volumes-");
	opened = [];
});
afterEach(async () => {
	for (const volumes of opened) await volumes.close();
	await expect.poll(devices).toEqual([]);
	rmSync(directory, { recursive: true });
});

describe("a volume", () => {
	it("is made once, of the size that it was asked for, with all of its space, and nothing in it", async () => {
		const volumes = open();
		expect((await volumes.make(ONE, 16)).made).toBe(true);
		for (const sizeMiB of [16, 17]) expect(await volumes.make(ONE, sizeMiB)).toEqual({ made: false, sizeMiB: 16 });
		expect(readdirSync(await volumes.mounted(ONE))).toEqual([]);
		await volumes.remove(ONE);
		await volumes.remove(ONE);
		expect(names()).toEqual([]);
	});

	it("that is wanted while it is removed is gone: it isn't mounted without its file, and its name can be used again", async () => {
		const volumes = open();
		for (const turns of [0, 1, 2, 3, 4, 5]) {
			await volumes.make(ONE, 16);
			if (turns > 0) await volumes.mounted(ONE);
			const removing = volumes.remove(ONE);
			for (let turn = 0; turn < turns; turn++) await Promise.resolve();
			await volumes.mounted(ONE).catch(() => undefined);
			await removing;
			await expect(volumes.mounted(ONE)).rejects.toThrow("isn't on this node");
			expect(names().filter((name) => name.includes("."))).toEqual([]);
		}
	});

	it("isn't made for want of one: another node's isn't here", async () => {
		await expect(open().mounted(ONE)).rejects.toThrow("isn't on this node");
		expect(names().filter((name) => name.includes("."))).toEqual([]);
	});

	it("is refused beyond the budget, however many are asked for at once", async () => {
		const made = await Promise.allSettled([open(20).make(ONE, 16), opened[0]?.make(OTHER, 16)]);
		expect(made.map(({ status }) => status)).toEqual(["fulfilled", "rejected"]);
		expect((made[1] as PromiseRejectedResult).reason).toMatchObject({ code: "ENOSPC", message: expect.stringContaining("16 are taken") });
		expect(names()).toEqual([`${ONE}.img`]);
	});

	it("isn't mounted twice, while what an earlier launcher left lets go of it: that is waited for, and what it wrote is there", async () => {
		const [earlier, next] = [open(), open()];
		await earlier.make(ONE, 16);
		writeFileSync(join(await earlier.mounted(ONE), "text"), "of the earlier one");
		let isMounted = false;
		const mounting = next.mounted(ONE).finally(() => {
			isMounted = true;
		});
		await earlier.make(OTHER, 16);
		expect([isMounted, devices().length]).toEqual([false, 1]);
		await earlier.close();
		expect(readFileSync(join(await mounting, "text"), "utf8")).toBe("of the earlier one");
	});

	it("that was half made when a launcher was killed is gone with the next one", async () => {
		open();
		writeFileSync(join(directory, "volumes", `${ONE}.img.new`), "half");
		const volumes = open();
		expect(names()).toEqual([]);
		await volumes.make(ONE, 16);
		expect(names()).toEqual([`${ONE}.img`]);
	});
});
