import { isUtf8 } from "node:buffer";
import { type BodyReference, INLINE_BODY_BYTES } from "@berth/contracts";
import type { PayloadStore } from "@berth/registry";

/** Bytes on their way to a worker: in the message when they are few, else in the payload store. */
export async function referenceTo(bytes: Buffer, payloads: PayloadStore): Promise<BodyReference> {
	if (bytes.length > INLINE_BODY_BYTES) return { payload: await payloads.put(bytes), sizeBytes: bytes.length };
	return isUtf8(bytes) ? { text: bytes.toString("utf8") } : { base64: bytes.toString("base64") };
}

/** The bytes of a body, wherever they are. */
export async function bytesOf(body: BodyReference, payloads: PayloadStore): Promise<Buffer> {
	if ("payload" in body) return await payloads.get(body.payload);
	return "text" in body ? Buffer.from(body.text) : Buffer.from(body.base64, "base64");
}

/** Frees what a body has in the payload store; idempotent. */
export async function forget(body: BodyReference, payloads: PayloadStore): Promise<void> {
	if ("payload" in body) await payloads.remove(body.payload);
}
