import fc from "fast-check";
import { expect, test } from "vitest";
import type { OutputStream, SandboxOutput } from "./engine.js";
import { LogReader } from "./log-reader.js";
import { MarkScanner, newOutputMark } from "./output-mark.js";

/** A stream cut into pieces at these places. */
function pieces(bytes: Buffer, cuts: readonly number[]): Buffer[] {
	const places = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
	return [0, ...places].map((from, index) => bytes.subarray(from, places[index] ?? bytes.length));
}

test("what stands before the mark comes out whole, wherever the pieces are cut and however often a mark seems to begin; what follows doesn't", () => {
	const text = fc.array(fc.constantFrom("\0", "a", "0", "\n", "é"), { maxLength: 60 }).map((parts) => parts.join(""));
	fc.assert(
		fc.property(text, text, fc.array(fc.nat(), { maxLength: 12 }), (before, after, cuts) => {
			const mark = newOutputMark();
			const scanner = new MarkScanner(mark);
			const out = pieces(Buffer.from(`${before}${mark}${after}`), cuts).map((piece) => scanner.take(piece));
			expect(Buffer.concat(out).toString()).toBe(before);
			expect(scanner.found).toBe(true);
		}),
	);
});

test("a stream that ends without the mark loses nothing", () => {
	const mark = newOutputMark();
	const scanner = new MarkScanner(mark);
	const out = [scanner.take(Buffer.from(`text${mark.slice(0, -1)}`)), scanner.rest()];
	expect([Buffer.concat(out).toString(), scanner.found]).toEqual([`text${mark.slice(0, -1)}`, false]);
});

class LaggingOutput implements SandboxOutput {
	readonly lags = true;
	slow(): void {}
	readonly #ended = Promise.withResolvers<void>();
	print: (stream: OutputStream, chunk: Buffer) => void = () => undefined;

	get ended(): Promise<void> {
		return this.#ended.promise;
	}

	listen(listener: (stream: OutputStream, chunk: Buffer) => void): void {
		this.print = listener;
	}

	close(): void {
		this.#ended.resolve();
	}
}

test("the log of an output that lags is read up to the marks of both streams, and nothing of it lands in the next one", async () => {
	const output = new LaggingOutput();
	const reader = new LogReader(output);
	const mark = reader.begin() ?? "";
	const log = reader.end();
	output.print("stdout", Buffer.from("last words\n"));
	output.print("stdout", Buffer.from(`${mark}late`));
	output.print("stderr", Buffer.from(`oops${mark}`));
	expect((await log).lines.map(({ stream, text }) => `${stream} ${text}`).sort()).toEqual(["stderr oops", "stdout last words"]);
	output.print("stdout", Buffer.from("nobody's\n"));
	const next = reader.begin() ?? "";
	expect(next).not.toBe(mark);
	const nextLog = reader.end();
	output.print("stdout", Buffer.from(next));
	output.print("stderr", Buffer.from(next));
	expect((await nextLog).lines).toEqual([]);
});

test("a container that ended prints no mark: its log is read to its end", async () => {
	const output = new LaggingOutput();
	const reader = new LogReader(output);
	reader.begin();
	const log = reader.end();
	output.print("stderr", Buffer.from("died"));
	output.close();
	expect((await log).lines.map(({ text }) => text)).toEqual(["died"]);
});
