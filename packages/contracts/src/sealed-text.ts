import { createCipheriv, createDecipheriv } from "node:crypto";
import { sealingKeyId } from "./sealing-key.js";

const CIPHER = "aes-256-gcm";
export const SEALING_NONCE_BYTES = 12;
const TAG_BYTES = 16;
const FORM = /^v1\.([0-9a-f]{8})\.([\w-]+)$/;

/** What each kind of secret among the records is sealed as: it is opened as the same alone, so that none can be put in another's place. */
export const sealedAs = {
	secret: (project: string, name: string) => `${project}/secret/${name}`,
	packageRegistry: (project: string, host: string) => `${project}/registry/${host}`,
	hook: (project: string, id: string) => `${project}/hook/${id}`,
	callbacks: (project: string) => `${project}/callback-secret`,
} as const;

/** The key that a sealed text names (`sealingKeyId`); undefined when it is no sealed text. */
export function sealedWith(sealed: string): string | undefined {
	return FORM.exec(sealed)?.[1];
}

/** AES-256-GCM, bound to what it is of. @param key 64 hex digits. @param nonce never the same for two texts (NIST SP 800-38D, 8.2.2) */
export function sealText(text: string, of: string, key: string, nonce: Buffer): string {
	const cipher = createCipheriv(CIPHER, Buffer.from(key, "hex"), nonce).setAAD(Buffer.from(of));
	const sealed = Buffer.concat([nonce, cipher.update(text, "utf8"), cipher.final(), cipher.getAuthTag()]);
	return `v1.${sealingKeyId(key)}.${sealed.toString("base64url")}`;
}

/** @throws Error when it is no sealed text, was sealed with another key or as something else, or was changed */
export function openText(sealed: string, of: string, key: string): string {
	const bytes = Buffer.from(FORM.exec(sealed)?.[2] ?? "", "base64url");
	const cipher = createDecipheriv(CIPHER, Buffer.from(key, "hex"), bytes.subarray(0, SEALING_NONCE_BYTES), { authTagLength: TAG_BYTES });
	cipher.setAAD(Buffer.from(of)).setAuthTag(bytes.subarray(-TAG_BYTES));
	return Buffer.concat([cipher.update(bytes.subarray(SEALING_NONCE_BYTES, -TAG_BYTES)), cipher.final()]).toString("utf8");
}
