import { PassThrough } from "node:stream";
import fc from "fast-check";
import { expect, test } from "vitest";
import { ContainerOutput } from "./container-output.js";

function framed(stream: 1 | 2, text: string): Buffer {
	const header = Buffer.alloc(8);
	header[0] = stream;
	header.writeUInt32BE(Buffer.byteLength(text), 4);
	return Buffer.concat([header, Buffer.from(text)]);
}

test("each stream's bytes come out in their order, wherever the connection cuts them", () => {
	const parts = fc.array(fc.tuple(fc.constantFrom(1 as const, 2 as const), fc.string({ maxLength: 20 })), { maxLength: 8 });
	fc.assert(
		fc.property(parts, fc.integer({ min: 1, max: 30 }), (printed, size) => {
			const socket = new PassThrough();
			const output = new ContainerOutput(socket);
			const heard = { stdout: "", stderr: "" };
			output.listen((stream, chunk) => {
				heard[stream] += chunk.toString("latin1");
			});
			const bytes = Buffer.concat(printed.map(([stream, text]) => framed(stream, text)));
			for (let at = 0; at < bytes.length; at += size) socket.emit("data", bytes.subarray(at, at + size));
			const expected = (stream: 1 | 2) =>
				Buffer.from(printed.flatMap(([each, text]) => (each === stream ? [text] : [])).join("")).toString("latin1");
			expect(heard).toEqual({ stdout: expected(1), stderr: expected(2) });
		}),
	);
});

test("its end is told", async () => {
	const socket = new PassThrough();
	const output = new ContainerOutput(socket);
	output.close();
	await output.ended;
	expect(socket.destroyed).toBe(true);
});
