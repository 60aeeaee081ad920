import { expect, test } from "vitest";
import { permitted } from "./permitted-addresses.js";

test("a name that leads to this host is told apart from one that leads to what isn't public", () => {
	const own = ["127.0.0.1", "10.0.0.7", "93.184.215.14", "2606:2800:21f::1"];
	expect(permitted(["93.184.215.15"], own)).toEqual(["93.184.215.15"]);
	for (const address of ["93.184.215.14", "2606:2800:21f::1"])
		expect(permitted(["93.184.215.15", address], own)).toEqual({ against: "it leads to this host" });
	for (const found of ["refused", ["10.0.0.8"], ["93.184.215.15", "127.0.0.2"]] as const)
		expect(permitted(found, own)).toEqual({ against: "it leads to an address that isn't public" });
});
