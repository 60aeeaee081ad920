import { isUtf8 } from "node:buffer";
import { type BodyReference, INLINE_BODY_BYTES } from "@berth/contracts";
import type { PayloadStore } from "@berth/registry";

/** The bytes of a body, wherever they are. Those in the payload store stay there: an attempt may be tried again. */
export async function bytesOf(body: BodyReference, payloads: PayloadStore): Promise<Uint8Array> {
	if ("text" in body) return Buffer.from(body.text);
	if ("base64" in body) return Buffer.from(body.base64, "base64");
	return await payloads.get(body.payload);
}

/** Bytes as a body: in the message when they are few, else in the payload store. */
export async function referenceTo(bytes: Uint8Array, payloads: PayloadStore): Promise<BodyReference> {
	if (bytes.byteLength > INLINE_BODY_BYTES) return { payload: await payloads.put(bytes), sizeBytes: bytes.byteLength };
	const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
	return isUtf8(buffer) ? { text: buffer.toString("utf8") } : { base64: buffer.toString("base64") };
}
