import { createHash } from "node:crypto";

/** The keys that a setting or a file names, with commas or line ends between: the first seals, and all of them open. */
export function sealingKeysIn(text: string): readonly string[] {
	return text.split(/[\s,]+/).filter((key) => key !== "");
}

/** What tells keys that secrets are sealed with apart, and nothing of the key: the first bytes of its SHA-256. @param key 64 hex digits */
export function sealingKeyId(key: string): string {
	return createHash("sha256").update(Buffer.from(key, "hex")).digest("hex").slice(0, 8);
}
