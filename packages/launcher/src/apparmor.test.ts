import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { requireProfile } from "./apparmor.js";
import { HostError } from "./host-error.js";

let directory: string;
let profiles: string;
beforeEach(() => {
	directory = mkdtempSync(join(tmpdir(), "berth-apparmor-"));
	profiles = join(directory, "profiles");
	// As Debian's kernel 6.1 writes it.
	writeFileSync(profiles, "berth-sandbox (enforce)\nberth-watched (complain)\n/usr/bin/man (enforce)\nman_filter (enforce)\n");
});
afterEach(() => rmSync(directory, { recursive: true }));

test("a profile of AppArmor's that is loaded and enforced will do", () => {
	expect(() => requireProfile("berth-sandbox", profiles)).not.toThrow();
});

test.each([
	["isn't loaded", "berth-sand", /no profile berth-sand loaded.*apparmor_parser -r -K/],
	["only watches", "berth-watched", /berth-watched in the mode complain, which refuses nothing.*apparmor_parser/],
])("one that %s is refused, with what to do", (_what, name, said) => {
	expect(() => requireProfile(name, profiles)).toThrow(HostError);
	expect(() => requireProfile(name, profiles)).toThrow(said);
});

test("a kernel without AppArmor is refused, with what to do", () => {
	expect(() => requireProfile("berth-sandbox", join(directory, "none"))).toThrow(HostError);
	expect(() => requireProfile("berth-sandbox", join(directory, "none"))).toThrow(/no AppArmor.*leave it out/);
});
