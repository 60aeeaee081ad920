/**
 * Frames on a stream socket: four bytes of length (big endian, of what follows), one of type, four
 * of head length, the head (JSON, UTF-8), then the body (raw bytes, to the end of the frame).
 * Both ends check every length against their bounds before they allocate anything.
 */
export interface Frame {
	readonly type: number;
	/** Parsed JSON: whoever reads it treats it as unchecked. */
	readonly head: unknown;
	readonly body: Uint8Array;
}

export interface FrameBounds {
	readonly maxHeadBytes: number;
	readonly maxBodyBytes: number;
}

const PREFIX_BYTES = 4;
const FIXED_BYTES = 5;
const EMPTY = new Uint8Array(0);

/** A frame that breaks the protocol. The connection it came on is to be destroyed. */
export class FrameError extends Error {
	override readonly name = "FrameError";
}

/** One frame as bytes. */
export function encodeFrame(type: number, head: unknown, body: Uint8Array = EMPTY): Buffer {
	const headText = JSON.stringify(head);
	const headBytes = Buffer.byteLength(headText);
	const rest = FIXED_BYTES + headBytes + body.byteLength;
	const frame = Buffer.allocUnsafe(PREFIX_BYTES + rest);
	frame.writeUInt32BE(rest, 0);
	frame[4] = type;
	frame.writeUInt32BE(headBytes, 5);
	frame.write(headText, 9, "utf8");
	frame.set(body, 9 + headBytes);
	return frame;
}

/** Cuts a byte stream into frames. Holds at most one frame's bytes, bounded by `bounds`. */
export class FrameDecoder {
	readonly #bounds: FrameBounds;
	#chunks: Buffer[] = [];
	#size = 0;
	/** Bytes of the next whole frame, prefix included; 0 while the prefix isn't there yet. */
	#wanted = 0;

	constructor(bounds: FrameBounds) {
		this.#bounds = bounds;
	}

	/** Takes a chunk and gives the frames that it completes. @throws FrameError */
	push(chunk: Buffer): Frame[] {
		this.#chunks.push(chunk);
		this.#size += chunk.length;
		const frames: Frame[] = [];
		for (;;) {
			if (this.#wanted === 0) {
				if (this.#size < PREFIX_BYTES) return frames;
				this.#wanted = this.#readPrefix();
			}
			if (this.#size < this.#wanted) return frames;
			frames.push(this.#take());
		}
	}

	/** Whether the stream may end here: nothing of a frame has arrived. */
	get atBoundary(): boolean {
		return this.#size === 0;
	}

	#readPrefix(): number {
		const joined = this.#join();
		const rest = joined.readUInt32BE(0);
		const most = FIXED_BYTES + this.#bounds.maxHeadBytes + this.#bounds.maxBodyBytes;
		if (rest < FIXED_BYTES || rest > most) throw new FrameError(`a frame of ${rest} bytes is outside 5 to ${most}`);
		return PREFIX_BYTES + rest;
	}

	#take(): Frame {
		const joined = this.#join();
		const bytes = joined.subarray(0, this.#wanted);
		const left = joined.subarray(this.#wanted);
		this.#chunks = left.length > 0 ? [left] : [];
		this.#size = left.length;
		this.#wanted = 0;
		const headBytes = bytes.readUInt32BE(5);
		const bodyAt = 9 + headBytes;
		if (headBytes > this.#bounds.maxHeadBytes || bodyAt > bytes.length) {
			throw new FrameError(`a head of ${headBytes} bytes doesn't fit its frame or the bound of ${this.#bounds.maxHeadBytes}`);
		}
		const body = bytes.subarray(bodyAt);
		if (body.length > this.#bounds.maxBodyBytes)
			throw new FrameError(`a body of ${body.length} bytes is over ${this.#bounds.maxBodyBytes}`);
		return { type: bytes[4] as number, head: parse(bytes.toString("utf8", 9, bodyAt)), body };
	}

	#join(): Buffer {
		if (this.#chunks.length > 1) this.#chunks = [Buffer.concat(this.#chunks, this.#size)];
		return this.#chunks[0] as Buffer;
	}
}

function parse(text: string): unknown {
	try {
		return JSON.parse(text);
	} catch {
		throw new FrameError("a frame's head isn't JSON");
	}
}
