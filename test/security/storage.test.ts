import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Deployed, deploy, fixture, freshName } from "../harness/functions.js";
import { sharedStack } from "../harness/shared-stack.js";

const stack = await sharedStack();
const [shared, other] = [freshName("shared"), freshName("other")];
const made: Deployed[] = [];

/** A function that has these volumes and does what it is told in them. */
async function user(...volumes: readonly { readonly name: string; readonly readOnly?: boolean }[]): Promise<Deployed> {
	const deployed = await deploy(stack, { source: fixture("uses-files"), memoryMiB: 64, volumes: [...volumes] });
	made.push(deployed);
	return deployed;
}

beforeAll(async () => {
	for (const name of [shared, other]) await stack.client.makeVolume(name, { sizeMiB: 16 });
});
afterAll(async () => {
	for (const { name } of made) await stack.client.remove(name);
	for (const name of [shared, other]) await stack.client.removeVolume(name);
});

describe("a volume", () => {
	it("is shared by functions whose sandboxes have different ids: what each writes is its own user's to both", async () => {
		const [one, two] = [await user({ name: shared }), await user({ name: shared })];
		const path = `/mnt/${shared}/by-both`;
		expect(await one.result({ do: "append", path, text: "one " })).toBe("done");
		expect(await two.result({ do: "append", path, text: "two " })).toBe("done");
		expect(await one.result({ do: "append", path, text: "one again" })).toBe("done");
		expect(await two.result({ do: "read", path })).toBe("one two one again");
		type Look = { readonly owner: number; readonly ids: string };
		const seen = [await one.result<Look>({ do: "look", path }), await two.result<Look>({ do: "look", path })];
		expect(seen.map(({ owner }) => owner)).toEqual([1000, 1000]);
		expect(new Set(seen.map(({ ids }) => ids)).size).toBe(2);
	});

	it("is there only for functions whose manifest names it, and nothing else is at /mnt", async () => {
		expect(await (await user()).result({ do: "list", path: "/mnt" })).toEqual([]);
		const has = await user({ name: other });
		expect(await has.result({ do: "list", path: "/mnt" })).toEqual([other]);
		expect(await has.result({ do: "list", path: `/mnt/${other}` })).toEqual([]);
		expect(await has.result({ do: "read", path: `/mnt/${shared}/by-both` })).toBe("ENOENT");
		expect(await has.result({ do: "append", path: "/mnt/beside", text: "x" })).toBe("EROFS");
	});

	it("can't be written where its manifest says read-only, also not after a remount, which is refused", async () => {
		const writer = await user({ name: shared });
		const path = `/mnt/${shared}/kept`;
		await writer.result({ do: "append", path, text: "kept" });
		const reader = await user({ name: shared, readOnly: true });
		expect(await reader.result({ do: "read", path })).toBe("kept");
		for (const wanted of ["append", "remove", "chmod", "link"])
			expect([wanted, await reader.result({ do: wanted, path, text: "x" })]).toEqual([wanted, "EROFS"]);
		const source = fixture("remounts", "index.py");
		const remounts = await deploy(stack, { runtime: "python3", source, volumes: [{ name: shared, readOnly: true }] });
		made.push(remounts);
		const target = `/mnt/${shared}`;
		expect(await remounts.result({ target })).toEqual({
			remount: "EPERM",
			bind: "EPERM",
			unmount: "EPERM",
			device: "EPERM",
			write: "EROFS",
		});
	});

	it("leads nowhere by a link, runs no program and gives nobody another user", async () => {
		const [plants, finds] = [await user({ name: shared }), await user({ name: shared, readOnly: true })];
		const at = (name: string) => `/mnt/${shared}/${name}`;
		for (const [name, target] of [
			["shadow", "/etc/shadow"],
			["up", "../../../../../../etc/shadow"],
			["self", "/proc/self/root"],
		] as const)
			expect(await plants.result({ do: "link", path: at(name), text: target })).toBe("done");
		expect(await plants.result({ do: "program", path: at("node") })).toBe("EACCES");
		for (const each of [plants, finds]) {
			for (const name of ["shadow", "up"]) expect(await each.result({ do: "read", path: at(name) })).toBe("ENOENT");
			expect(await each.result({ do: "read", path: at("self/var/lib/berth/admin.key") })).toBe("ENOENT");
		}
		const flags = (await finds.result<{ mount: string }>({ do: "look", path: at("node") })).mount;
		for (const flag of ["ro", "nosuid", "nodev", "noexec", "idmapped"]) expect(flags.split(",")).toContain(flag);
	});

	it("is full at its size, and says so to whoever writes; another one has its own", async () => {
		const fills = await user({ name: shared }, { name: other });
		const filled = await fills.result<{ code: string; mebibytes: number }>({ do: "fill", path: `/mnt/${shared}/large` });
		expect(filled.code).toBe("ENOSPC");
		expect(filled.mebibytes).toBeGreaterThanOrEqual(8);
		expect(filled.mebibytes).toBeLessThan(16);
		expect(await fills.result({ do: "append", path: `/mnt/${other}/small`, text: "fits" })).toBe("done");
		expect(await fills.result({ do: "remove", path: `/mnt/${shared}/large` })).toBe("done");
		expect(await fills.result({ do: "append", path: `/mnt/${shared}/small`, text: "fits" })).toBe("done");
	});

	it.each(["../etc", "..", "a/b", "/etc", "", "A", "x\0y", "__proto__"])("can't be called %j", async (name) => {
		const deployed = stack.client.deploy(freshName(), { source: "export default () => 1;", volumes: [{ name }] });
		await expect(deployed).rejects.toMatchObject({ problem: { code: "invalid_manifest", issues: [{ field: "volumes.0.name" }] } });
		if (name !== "" && name !== "..")
			await expect(stack.client.makeVolume(name)).rejects.toMatchObject({ problem: { code: "invalid_name" } });
	});
});
