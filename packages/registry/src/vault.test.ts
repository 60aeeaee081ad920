import { BerthError } from "@berth/contracts";
import { expect, test } from "vitest";
import { Vault } from "./vault.js";

const vault = new Vault("ab".repeat(32));

test("what was sealed is opened by the same key as the same thing, and looks different each time", () => {
	const sealed = vault.seal("grün-token", "default/registry/host");
	expect(vault.open(sealed, "default/registry/host")).toBe("grün-token");
	expect(vault.seal("grün-token", "default/registry/host")).not.toBe(sealed);
	expect(sealed).not.toContain(Buffer.from("grün-token").toString("base64url").slice(0, 8));
});

test("what has to look alike each time does, for the same thing and key alone", () => {
	const sealed = vault.sealAlike("A=b", "default/env");
	expect(vault.open(sealed, "default/env")).toBe("A=b");
	expect(vault.sealAlike("A=b", "default/env")).toBe(sealed);
	for (const other of [
		vault.sealAlike("A=b", "other/env"),
		vault.sealAlike("A=c", "default/env"),
		new Vault("cd".repeat(32)).sealAlike("A=b", "default/env"),
	])
		expect(other.slice(12)).not.toBe(sealed.slice(12));
	expect(() => vault.open(sealed, "other/env")).toThrow("damaged");
});

test.each<[string, (sealed: string) => string, string]>([
	["as something else", (sealed) => new Vault("ab".repeat(32)).open(sealed, "default/registry/other"), "damaged"],
	["with another key", (sealed) => new Vault("cd".repeat(32)).open(sealed, "default/registry/host"), "another key"],
	[
		"when a byte of it was changed",
		(sealed) => vault.open(`${sealed.slice(0, -2)}${sealed.endsWith("AA") ? "BB" : "AA"}`, "default/registry/host"),
		"damaged",
	],
	["when it was cut", (sealed) => vault.open(sealed.slice(0, 30), "default/registry/host"), "damaged"],
	["when it is none", () => vault.open("plain text", "default/registry/host"), "another key"],
])("it isn't opened %s", (_, open, said) => {
	const sealed = vault.seal("token", "default/registry/host");
	expect(() => open(sealed)).toThrow(BerthError);
	expect(() => open(sealed)).toThrow(said);
});

test("what isn't a key is none", () => {
	for (const key of ["", "ab".repeat(31), `${"ab".repeat(31)}zz`]) expect(() => new Vault(key)).toThrow(TypeError);
});
