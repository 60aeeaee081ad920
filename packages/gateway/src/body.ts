import type { IncomingMessage } from "node:http";
import { BerthError } from "@berth/contracts";

const EMPTY = Buffer.alloc(0);

/**
 * A request's raw body, never more of it than the limit: what declares itself too large is refused
 * before a byte is read. @throws BerthError body_too_large, invalid_request when it is cut short
 */
export function readBody(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
	const declared = request.headers["content-length"];
	if (declared !== undefined && Number(declared) > maxBytes) return Promise.reject(tooLarge(maxBytes));
	if (declared === "0" || (declared === undefined && request.headers["transfer-encoding"] === undefined)) return Promise.resolve(EMPTY);
	return new Promise((resolve, reject) => {
		const chunks: Buffer[] = [];
		let size = 0;
		request.on("data", (chunk: Buffer) => {
			size += chunk.length;
			if (size > maxBytes) {
				request.pause();
				reject(tooLarge(maxBytes));
				return;
			}
			chunks.push(chunk);
		});
		request.on("end", () => resolve(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks, size)));
		request.on("error", () => reject(new BerthError("invalid_request", "the body ended before it was complete")));
		request.on("aborted", () => reject(new BerthError("invalid_request", "the body ended before it was complete")));
	});
}

function tooLarge(maxBytes: number): BerthError {
	return new BerthError("body_too_large", `the body may have ${maxBytes} bytes at most`, { extra: { limitBytes: maxBytes } });
}

/** JSON that can't reach an object's prototype. @throws BerthError invalid_request with the place of the mistake */
export function parseJson(bytes: Uint8Array, what: string): unknown {
	const text = Buffer.from(bytes).toString("utf8");
	try {
		return JSON.parse(text, withoutPrototype);
	} catch (error) {
		throw new BerthError("invalid_request", `${what} isn't JSON: ${(error as Error).message}`);
	}
}

function withoutPrototype(key: string, value: unknown): unknown {
	return key === "__proto__" ? undefined : value;
}
