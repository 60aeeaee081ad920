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
const NOTHING = Buffer.alloc(0);
/** Room for a frame in pieces is at most so many times what has arrived of it: few copies, and little for few bytes. */
const GROWTH = 4;

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

/**
 * Cuts a byte stream into frames. Whole frames are taken out of the chunk that they came in; of one that
 * comes in pieces the bytes are copied together, so that a piece costs its bytes however small it is.
 * Holds at most one frame's bytes, bounded by `bounds`.
 */
export class FrameDecoder {
	readonly #bounds: FrameBounds;
	/** Room for a frame of which some has arrived, in its first `#size` bytes. */
	#held: Buffer = NOTHING;
	#size = 0;
	/** Bytes of the frame that is held, prefix included; those of the prefix alone while that isn't whole. */
	#wanted = PREFIX_BYTES;

	constructor(bounds: FrameBounds) {
		this.#bounds = bounds;
	}

	/** Takes a chunk and gives the frames that it completes. @throws FrameError */
	push(chunk: Buffer): Frame[] {
		const frames: Frame[] = [];
		let rest = chunk;
		while (rest.length > 0) {
			const whole = this.#size === 0 && rest.length >= PREFIX_BYTES ? this.#bytesOf(rest) : Number.POSITIVE_INFINITY;
			if (whole <= rest.length) {
				frames.push(this.#frameIn(rest.subarray(0, whole)));
				rest = rest.subarray(whole);
			} else {
				rest = this.#hold(rest);
				if (this.#isWhole) frames.push(this.#take());
			}
		}
		return frames;
	}

	/** Whether the stream may end here: nothing of a frame has arrived. */
	get atBoundary(): boolean {
		return this.#size === 0;
	}

	get #isWhole(): boolean {
		return this.#size === this.#wanted && this.#wanted > PREFIX_BYTES;
	}

	/** Copies what belongs to the frame that is held. @returns what comes after */
	#hold(bytes: Buffer): Buffer {
		const taken = Math.min(bytes.length, this.#wanted - this.#size);
		this.#makeRoom(this.#size + taken);
		bytes.copy(this.#held, this.#size, 0, taken);
		this.#size += taken;
		if (this.#size === PREFIX_BYTES) this.#wanted = this.#bytesOf(this.#held);
		return bytes.subarray(taken);
	}

	/** By what has arrived, up to the whole frame: a length that is only announced reserves nothing. */
	#makeRoom(bytes: number): void {
		if (bytes <= this.#held.length) return;
		const room = Buffer.allocUnsafe(Math.min(GROWTH * bytes, this.#wanted));
		this.#held.copy(room, 0, 0, this.#size);
		this.#held = room;
	}

	/** What was held is the frame's from now on: its body isn't copied. */
	#take(): Frame {
		const bytes = this.#held.subarray(0, this.#size);
		this.#held = NOTHING;
		this.#size = 0;
		this.#wanted = PREFIX_BYTES;
		return this.#frameIn(bytes);
	}

	/** Bytes of the frame that begins here, prefix included. */
	#bytesOf(start: Buffer): number {
		const rest = start.readUInt32BE(0);
		const most = FIXED_BYTES + this.#bounds.maxHeadBytes + this.#bounds.maxBodyBytes;
		if (rest < FIXED_BYTES || rest > most) throw new FrameError(`a frame of ${rest} bytes is outside 5 to ${most}`);
		return PREFIX_BYTES + rest;
	}

	#frameIn(bytes: Buffer): Frame {
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
}

function parse(text: string): unknown {
	try {
		return JSON.parse(text);
	} catch {
		throw new FrameError("a frame's head isn't JSON");
	}
}
