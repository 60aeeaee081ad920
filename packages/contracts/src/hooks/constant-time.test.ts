import crypto from "node:crypto";
import { syncBuiltinESMExports } from "node:module";
import { afterAll, beforeEach, expect, test, vi } from "vitest";

const compared = vi.spyOn(crypto, "timingSafeEqual");
syncBuiltinESMExports();
const { SCHEME_NAMES, schemeOf, verifyDelivery } = await import("./index.js");
beforeEach(() => void compared.mockClear());
afterAll(() => {
	compared.mockRestore();
	syncBuiltinESMExports();
});

const MESSAGE = { body: Buffer.from("{}"), id: "delivery-1", event: "push", atMs: 1_764_100_000_000 };
const secretOf = (name: (typeof SCHEME_NAMES)[number], byte: number) => schemeOf(name).newSecret(Buffer.alloc(32, byte));

test.each(SCHEME_NAMES.filter((name) => name !== "none"))(
	"what %s signs is compared by digests, in constant time, with every secret",
	(name) => {
		const settings = name === "hmac" ? { header: "x-sig" } : {};
		const secrets = [secretOf(name, 7), secretOf(name, 9)];
		for (const right of [7, 9, 11]) {
			compared.mockClear();
			const headers = schemeOf(name).sign(MESSAGE, secretOf(name, right), settings);
			const verdict = verifyDelivery(name, { headers, body: MESSAGE.body }, secrets, {
				nowMs: MESSAGE.atMs,
				toleranceMs: 60_000,
				settings,
			});
			expect(verdict.verified).toBe(right !== 11);
			expect(compared.mock.calls.length).toBeGreaterThanOrEqual(2);
			for (const [a, b] of compared.mock.calls) expect([a.byteLength, b.byteLength]).toEqual([32, 32]);
		}
	},
);

test("what nobody signs is compared with nothing", () => {
	const circumstances = { nowMs: MESSAGE.atMs, toleranceMs: 60_000, settings: {} };
	expect(verifyDelivery("none", { headers: [], body: MESSAGE.body }, [], circumstances).verified).toBe(true);
	expect(compared).not.toHaveBeenCalled();
});
