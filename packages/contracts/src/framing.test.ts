import fc from "fast-check";
import { afterEach, describe, expect, test, vi } from "vitest";
import { encodeFrame, FrameDecoder, FrameError } from "./framing.js";

afterEach(() => void vi.restoreAllMocks());

const BOUNDS = { maxHeadBytes: 64 * 1024, maxBodyBytes: 64 * 1024 };

const frame = fc.record({ type: fc.integer({ min: 0, max: 255 }), head: fc.jsonValue(), body: fc.uint8Array({ maxLength: 2000 }) });

/** Bytes cut into pieces at these places. */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
	const at = [...new Set([0, ...places.map((place) => place % (bytes.length + 1)), bytes.length])].sort((a, b) => a - b);
	return at.slice(1).map((end, i) => bytes.subarray(at[i], end));
}

test("frames come out as they went in, however the stream is cut", () => {
	fc.assert(
		fc.property(fc.array(frame, { maxLength: 8 }), fc.array(fc.nat(), { maxLength: 40 }), (frames, places) => {
			const stream = Buffer.concat(frames.map(({ type, head, body }) => encodeFrame(type, head, body)));
			const decoder = new FrameDecoder(BOUNDS);
			const decoded = cut(stream, places).flatMap((chunk) => decoder.push(chunk));
			expect(decoded.map(({ type, head, body }) => ({ type, head, body: Buffer.from(body) }))).toEqual(
				frames.map(({ type, head, body }) => ({ type, head: JSON.parse(JSON.stringify(head)), body: Buffer.from(body) })),
			);
			expect(decoder.atBoundary).toBe(true);
		}),
	);
});

test("any bytes are frames, the wait for more, or a FrameError", () => {
	fc.assert(
		fc.property(fc.uint8Array({ maxLength: 200 }), fc.array(fc.nat(), { maxLength: 10 }), (bytes, places) => {
			const decoder = new FrameDecoder(BOUNDS);
			try {
				for (const chunk of cut(Buffer.from(bytes), places)) decoder.push(chunk);
			} catch (error) {
				expect(error).toBeInstanceOf(FrameError);
			}
		}),
	);
});

describe("refused", () => {
	const prefixed = (length: number) => {
		const bytes = Buffer.alloc(4);
		bytes.writeUInt32BE(length);
		return bytes;
	};
	const push = (bytes: Buffer, bounds = BOUNDS) => new FrameDecoder(bounds).push(bytes);

	test.each([0, 4, 2 ** 32 - 1, BOUNDS.maxHeadBytes + BOUNDS.maxBodyBytes + 6])("is a length of %d, on its four bytes alone", (length) => {
		expect(() => push(prefixed(length))).toThrow(FrameError);
	});

	test("is a head that is longer than its frame or its bound", () => {
		const long = encodeFrame(1, "x");
		long.writeUInt32BE(1000, 5);
		expect(() => push(long)).toThrow("a head of 1000 bytes");
		expect(() => push(encodeFrame(1, "x".repeat(100)), { maxHeadBytes: 50, maxBodyBytes: 100 })).toThrow("bound of 50");
	});

	test("is a body over its bound", () => {
		expect(() => push(encodeFrame(1, null, Buffer.alloc(60)), { maxHeadBytes: 50, maxBodyBytes: 50 })).toThrow("a body of 60 bytes");
	});

	test("is a head that isn't JSON", () => {
		const broken = encodeFrame(1, "ab");
		broken.write("{", 9);
		expect(() => push(broken)).toThrow("isn't JSON");
	});
});

test("a half frame isn't a boundary", () => {
	const decoder = new FrameDecoder(BOUNDS);
	decoder.push(encodeFrame(1, {}).subarray(0, 3));
	expect(decoder.atBoundary).toBe(false);
});

describe("a frame that arrives in many pieces", () => {
	const body = Buffer.from(Array.from({ length: 50_000 }, (_, i) => i % 251));

	test("keeps none of them: what is held is at most four times as large as what has arrived", () => {
		const bytes = encodeFrame(1, {}, body);
		const allocated: number[] = [];
		const allocate = Buffer.allocUnsafe;
		vi.spyOn(Buffer, "allocUnsafe").mockImplementation((size) => {
			allocated.push(size);
			return allocate(size);
		});
		const decoder = new FrameDecoder(BOUNDS);
		// Each piece is overwritten by the next one, as nobody could whose pieces were kept.
		const piece = Buffer.alloc(1);
		const frames = [...bytes].flatMap((byte, at) => {
			piece[0] = byte;
			const frames = decoder.push(piece);
			expect(allocated.at(-1)).toBeLessThanOrEqual(4 * (at + 1));
			return frames;
		});
		expect(frames.map((frame) => Buffer.from(frame.body).equals(body))).toEqual([true]);
		expect(allocated.length).toBeLessThanOrEqual(10);
		expect(Math.max(...allocated)).toBeLessThanOrEqual(bytes.length);
	});

	test("costs one that arrives whole nothing: its body is the piece's own bytes", () => {
		const bytes = encodeFrame(1, {}, body);
		const allocate = vi.spyOn(Buffer, "allocUnsafe");
		const [first, second] = new FrameDecoder(BOUNDS).push(Buffer.concat([bytes, bytes]));
		expect([first?.body.buffer, second?.body.buffer].every((buffer) => buffer === first?.body.buffer)).toBe(true);
		expect(allocate).not.toHaveBeenCalledWith(bytes.length);
	});
});
