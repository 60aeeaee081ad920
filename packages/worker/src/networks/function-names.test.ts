import fc from "fast-check";
import { expect, test } from "vitest";
import { answerTo } from "./function-names.js";
import { functionNames } from "./functions-gateway.js";

/** A query as a resolver sends it (RFC 1035, 4.1). */
function query(name: string, type = 1, flags = 0x0100): Buffer {
	const labels = name.split(".").map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)]));
	const header = Buffer.from([0xab, 0xcd, flags >> 8, flags & 0xff, 0, 1, 0, 0, 0, 0, 0, 0]);
	return Buffer.concat([header, ...labels, Buffer.from([0, 0, type, 0, 1])]);
}

const codeOf = (answer: Buffer | undefined) => (answer === undefined ? undefined : (answer[3] as number) & 15);

test("every name without a dot has the one address, of IPv4 alone; nothing else has any", () => {
	const answer = answerTo(query("stock"), functionNames) as Buffer;
	expect([answer.readUInt16BE(0), codeOf(answer), answer.readUInt16BE(6), [...answer.subarray(-4)]]).toEqual([
		0xabcd,
		0,
		1,
		[198, 18, 0, 1],
	]);
	const ofIpv6 = answerTo(query("stock", 28), functionNames) as Buffer;
	expect([codeOf(ofIpv6), ofIpv6.readUInt16BE(6)]).toEqual([0, 0]);
	for (const name of ["example.org", "stock.shop", "metadata.google.internal"])
		expect(codeOf(answerTo(query(name), functionNames)), name).toBe(3);
});

test("an answer isn't answered, so that two servers never talk to each other; another kind of question is refused", () => {
	expect(answerTo(query("stock", 1, 0x8180), functionNames)).toBeUndefined();
	expect(codeOf(answerTo(query("stock", 1, 0x2800), functionNames))).toBe(4);
});

test("whatever bytes a function sends, the answer is no more than a question and a record longer than nothing", () => {
	fc.assert(
		fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => {
			const answer = answerTo(Buffer.from(bytes), functionNames);
			expect(answer?.length ?? 0).toBeLessThanOrEqual(Math.max(12, bytes.length) + 16);
		}),
		{ numRuns: 2000 },
	);
	for (let cut = 0; cut < query("stock").length; cut++)
		expect(codeOf(answerTo(query("stock").subarray(0, cut), functionNames))).toBe(cut < 12 ? undefined : 1);
});
