import { createHash } from "node:crypto";

const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

/** What attackers look for of a secret: it occurs nowhere else on this machine. @param name its own, or that and which value of it */
export function markOf(name: string): string {
	return `berth-secret-${sha256(`${name} ${process.pid} ${process.env["VITEST_POOL_ID"]}`).slice(0, 24)}`;
}

/** Its value, with what isn't the same in every encoding. */
export function secretValue(name: string): string {
	return `${markOf(name)} "ü/+`;
}

/** As an attacker tells it. */
export function hashOf(name: string): string {
	return sha256(markOf(name));
}
