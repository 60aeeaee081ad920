import { createHash } from "node:crypto";

/** What tells keys that secrets are sealed with apart, and nothing of the key: the first bytes of its SHA-256. @param key 64 hex digits */
export function sealingKeyId(key: string): string {
	return createHash("sha256").update(Buffer.from(key, "hex")).digest("hex").slice(0, 8);
}
