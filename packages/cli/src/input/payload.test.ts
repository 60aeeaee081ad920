import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { expect, test } from "vitest";
import { jsonPayloadOf, payloadOf } from "./payload.js";

const stdin = (text = "") => Readable.from([Buffer.from(text)]);

test.each([
	['{"a":1}', "application/json"],
	["plain words", "text/plain; charset=utf-8"],
])("%s is sent as %s", async (text, contentType) => {
	expect(await payloadOf(text, undefined, stdin())).toEqual({ bytes: Buffer.from(text), contentType });
});

test("a type that is said isn't guessed, and no payload is none", async () => {
	expect(await payloadOf("{}", "text/x", stdin())).toMatchObject({ contentType: "text/x" });
	expect(await payloadOf(undefined, undefined, stdin("x"))).toBeUndefined();
});

test("- is stdin, @ a file; bytes that are no text are bytes", async () => {
	const directory = await mkdtemp(join(tmpdir(), "berth-payload-"));
	try {
		await writeFile(join(directory, "x"), Buffer.from([0xff, 0xfe]));
		expect(await payloadOf(`@${directory}/x`, undefined, stdin())).toMatchObject({ contentType: "application/octet-stream" });
		expect(await payloadOf("-", undefined, stdin("7"))).toEqual({ bytes: Buffer.from("7"), contentType: "application/json" });
		await expect(payloadOf("@/nowhere", undefined, stdin())).rejects.toThrow("-d @/nowhere: there is no such file");
	} finally {
		await rm(directory, { recursive: true });
	}
});

test("a bench's payload is JSON", async () => {
	expect(await jsonPayloadOf("-", stdin("[1]"))).toEqual([1]);
	await expect(jsonPayloadOf("words", stdin())).rejects.toThrow("JSON is wanted");
});
