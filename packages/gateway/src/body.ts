import { isUtf8 } from "node:buffer";
import { BerthError } from "@berth/contracts";
import type { Request } from "express";

const EMPTY = Buffer.alloc(0);

/**
 * A request's raw body, never more of it than the limit: what declares itself too large is refused
 * before a byte is read, and before it is sent by a client that asks (`Expect: 100-continue`).
 * @throws BerthError body_too_large, invalid_request when it is cut short
 */
export function readBody(request: Request, maxBytes: number): Promise<Buffer> {
	const { "content-length": declared, "transfer-encoding": encoding, expect } = request.headers;
	if (declared !== undefined && Number(declared) > maxBytes) return Promise.reject(tooLarge(maxBytes));
	if (declared === "0" || (declared === undefined && encoding === undefined)) return Promise.resolve(EMPTY);
	if (expect !== undefined) request.res?.writeContinue();
	return collect(request, maxBytes);
}

function collect(request: Request, maxBytes: number): Promise<Buffer> {
	return new Promise((resolve, reject) => {
		const chunks: Buffer[] = [];
		let size = 0;
		// Every request closes in the end: an error, with its stack, is made only for one that was cut short.
		const cutShort = () => {
			if (!request.readableEnded) reject(new BerthError("invalid_request", "the body ended before it was complete"));
		};
		request.on("data", (chunk: Buffer) => {
			size += chunk.length;
			if (size <= maxBytes) chunks.push(chunk);
			else {
				chunks.length = 0;
				request.pause();
				reject(tooLarge(maxBytes));
			}
		});
		request.on("end", () => resolve(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks, size)));
		request.on("error", cutShort);
		request.on("close", cutShort);
	});
}

function tooLarge(maxBytes: number): BerthError {
	return new BerthError("body_too_large", `the body may have ${maxBytes} bytes at most`, { extra: { limitBytes: maxBytes } });
}

/** JSON in UTF-8 that can't reach an object's prototype. @throws BerthError invalid_request with the place of the mistake */
export function parseJson(bytes: Uint8Array, what: string): unknown {
	if (bytes.length === 0) throw new BerthError("invalid_request", `${what} is empty; JSON is wanted here`);
	if (!isUtf8(bytes)) throw new BerthError("invalid_request", `${what} isn't UTF-8`);
	try {
		return JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8"), refusePrototype);
	} catch (error) {
		if (error instanceof BerthError) throw error;
		if (error instanceof RangeError) throw new BerthError("invalid_request", `${what} is nested too deeply`);
		throw new BerthError("invalid_request", `${what} isn't valid JSON: ${(error as Error).message}`);
	}
}

function refusePrototype(key: string, value: unknown): unknown {
	if (key === "__proto__") throw new BerthError("invalid_request", "a field of JSON may not be called __proto__");
	return value;
}

/** Whether a body of this type is JSON; one that says nothing of itself is taken for it. */
export function isJson(contentType = "application/json"): boolean {
	const type = contentType.split(";", 1)[0]?.trim().toLowerCase() ?? "";
	return type === "application/json" || type.endsWith("+json");
}
