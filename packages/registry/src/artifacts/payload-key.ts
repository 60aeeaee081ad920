import { randomBytes } from "node:crypto";
import { BerthError } from "@berth/contracts";

/** When it was written (milliseconds) and its bytes, 12 and 8 hex digits, then chance, perhaps whose it is: names alone say what a store holds. */
const KEY = /^([0-9a-f]{12})-([0-9a-f]{8})-[0-9a-f]{16}(?:-(inv_[0-9a-z]{26}))?$/;
/** What the names of payloads begin with, whatever a version that is newer has them end with. */
const NAME = /^([0-9a-f]{12})-([0-9a-f]{8})-[0-9a-f]{16}(?:-.+)?$/;
/** What a name ends with while its bytes are being written. */
const PART = ".part";

/** @param of the invocation that it is for, where somebody may have to ask later whether that still needs it */
export function newKey(
	bytes: number,
	{ atMs = Date.now(), of }: { readonly atMs?: number; readonly of?: string | undefined } = {},
): string {
	const hex = (value: number, digits: number) => value.toString(16).padStart(digits, "0");
	return `${hex(atMs, 12)}-${hex(bytes, 8)}-${randomBytes(8).toString("hex")}${of === undefined ? "" : `-${of}`}`;
}

/** @throws BerthError `platform_error` when it isn't the key of a payload: it never leads elsewhere */
export function checkedKey(key: string): string {
	if (!KEY.test(key)) throw new BerthError("platform_error", `${JSON.stringify(key)} isn't the key of a payload.`);
	return key;
}

/** The key that a name is for, also while its bytes are being written. */
export function keyOfName(name: string): string {
	return name.endsWith(PART) ? name.slice(0, -PART.length) : name;
}

export function partOf(key: string): string {
	return key + PART;
}

/** What a name says of itself; undefined when it is none of a payload. */
export function factsOf(name: string): { readonly writtenAtMs: number; readonly bytes: number; readonly of?: string } | undefined {
	const [, time, bytes] = NAME.exec(keyOfName(name)) ?? [];
	const of = KEY.exec(keyOfName(name))?.[3];
	return time === undefined || bytes === undefined
		? undefined
		: { writtenAtMs: Number.parseInt(time, 16), bytes: Number.parseInt(bytes, 16), ...(of === undefined ? {} : { of }) };
}

export function bytesOf(name: string): number {
	return factsOf(name)?.bytes ?? 0;
}
