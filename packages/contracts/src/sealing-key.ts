import { createHash } from "node:crypto";

/** The keys that a setting or a file names, with commas or line ends between: the first seals, and all of them open. */
export function sealingKeysIn(text: string): readonly string[] {
	return text.split(/[\s,]+/).filter((key) => key !== "");
}

/** What tells keys that secrets are sealed with apart, and nothing of the key: the first bytes of its SHA-256. @param key 64 hex digits */
export function sealingKeyId(key: string): string {
	return createHash("sha256").update(Buffer.from(key, "hex")).digest("hex").slice(0, 8);
}

const KEY = /^[0-9a-f]{64}$/;

/** What keeps a file from being one of sealing keys, with the line: never what stands there. Undefined: nothing does. */
export function sealingKeyFault(text: string): string | undefined {
	const line = text.split("\n").findIndex((each) => !sealingKeysIn(each).every((key) => KEY.test(key)));
	if (line >= 0) return `line ${line + 1}: 64 hex digits (0-9, a-f) are wanted`;
	return sealingKeysIn(text).length === 0 ? "line 1: it is empty, and 64 hex digits are wanted" : undefined;
}
