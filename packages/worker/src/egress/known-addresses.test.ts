import { publicAddressesOf } from "@berth/contracts";
import { afterEach, beforeEach, expect, test } from "vitest";
import { serveNames } from "../networks/function-names.js";
import { KnownAddresses } from "./known-addresses.js";
import { permitted } from "./permitted-addresses.js";

let server: Awaited<ReturnType<typeof serveNames>>;
let known: KnownAddresses;
/** Queries that the server of DNS was sent. */
let asked: number;

beforeEach(async () => {
	asked = 0;
	server = await serveNames("127.0.0.1", 0, (name) => {
		asked++;
		return name === "service.example" ? "93.184.215.14" : undefined;
	});
	const resolver = `127.0.0.1:${server.address().port}`;
	known = new KnownAddresses(async (host) => permitted(await publicAddressesOf(host, AbortSignal.timeout(5_000), [resolver])));
});
afterEach(() => server.close());

test("connections to a name cost one look at its addresses for some seconds, also those that are opened at once", async () => {
	const found = await Promise.all([known.of("service.example", 0), known.of("service.example", 1)]);
	found.push(await known.of("service.example", 4_999));
	expect(found).toEqual(Array(3).fill(["93.184.215.14"]));
	// Addresses of IPv4 and of IPv6.
	expect(asked).toBe(2);
	await known.of("service.example", 5_000);
	expect(asked).toBe(4);
});

test("that there is none is asked again after a second", async () => {
	await expect(known.of("none.example", 0)).rejects.toMatchObject({ code: "ENOTFOUND" });
	await expect(known.of("none.example", 999)).rejects.toMatchObject({ code: "ENOTFOUND" });
	expect(asked).toBe(2);
	await expect(known.of("none.example", 1_000)).rejects.toMatchObject({ code: "ENOTFOUND" });
	expect(asked).toBe(4);
});
