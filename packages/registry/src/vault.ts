import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { readFile } from "node:fs/promises";
import {
	BerthError,
	openText,
	SEALING_NONCE_BYTES,
	sealedWith,
	sealingKeyFault,
	sealingKeyId,
	sealingKeysIn,
	sealText,
} from "@berth/contracts";

const KEY = /^[0-9a-f]{64}$/;

/**
 * Seals what may not be read off a disk: AES-256-GCM with a nonce of its own for each text (NIST SP 800-38D, 8.2.2), bound to
 * what it is of, so that it can't be put in the place of another. A sealed text names the key that it was sealed with.
 */
export class Vault {
	readonly #key: string;
	readonly #keys: ReadonlyMap<string, string>;

	/** @param keys 64 hex digits each: the first seals, all of them open. @throws TypeError when there is none, or one is no key */
	constructor(...keys: readonly string[]) {
		const [first] = keys;
		if (first === undefined || !keys.every((key) => KEY.test(key))) throw new TypeError("a key of the vault isn't 64 hex digits");
		this.#key = first;
		this.#keys = new Map(keys.map((key) => [sealingKeyId(key), key]));
	}

	/** Whether there are keys that only open. */
	get hasOldKeys(): boolean {
		return this.#keys.size > 1;
	}

	/** What tells its keys apart, the one that seals first. */
	get keyIds(): readonly string[] {
		return [...this.#keys.keys()];
	}

	/** What shows whoever has the same keys that a text is of one of those: of a machine of this stack. */
	sign(text: string): string {
		return signatureOf(this.#key, text);
	}

	/** Whether this is what `sign` made of the text, with any of the keys. */
	isSigned(text: string, signature: string): boolean {
		const given = Buffer.from(signature);
		return [...this.#keys.values()].some((key) => {
			const right = Buffer.from(signatureOf(key, text));
			return right.length === given.length && timingSafeEqual(right, given);
		});
	}

	/** The same with the key that seals now; undefined when it is that already. @throws BerthError as `open` */
	resealed(sealed: string, of: string): string | undefined {
		return sealedWith(sealed) === sealingKeyId(this.#key) ? undefined : this.seal(this.open(sealed, of), of);
	}

	/** @param key where the operator named one; else the file has it. @throws Error when there is none, naming the line where it is no key */
	static async open(key: string | undefined, file: string): Promise<Vault> {
		const text = key ?? (await readFile(file, "utf8"));
		const fault = sealingKeyFault(text);
		if (fault !== undefined) throw new Error(`${key === undefined ? file : "BERTH_SECRETS_KEY"}, ${fault}: put back the copy`);
		return new Vault(...sealingKeysIn(text));
	}

	/** @param of what it is of (`default/registry/npm.example.com`): only whoever names the same opens it */
	seal(text: string, of: string): string {
		return sealText(text, of, this.#key, randomBytes(SEALING_NONCE_BYTES));
	}

	/** The same for what has to look alike each time: the nonce is made of the text (as RFC 5297 does). It shows which texts are equal, and nothing else. */
	sealAlike(text: string, of: string): string {
		const hash = createHmac("sha256", keyFor("nonces", this.#key)).update(JSON.stringify([of, text]));
		return sealText(text, of, this.#key, hash.digest().subarray(0, SEALING_NONCE_BYTES));
	}

	/** Whether `open` would give it. */
	canOpen(sealed: string, of: string): boolean {
		try {
			this.open(sealed, of);
			return true;
		} catch (error) {
			if (error instanceof BerthError) return false;
			throw error;
		}
	}

	/** @throws BerthError platform_error when it was sealed with another key, as something else, or was changed */
	open(sealed: string, of: string): string {
		const key = this.#keys.get(sealedWith(sealed) ?? "");
		if (key === undefined)
			throw new BerthError(
				"platform_error",
				`The secret ${of} was sealed with another key than this node has: its operator puts that one back (BERTH_SECRETS_KEY, or secrets.key), or set it again.`,
			);
		try {
			return openText(sealed, of, key);
		} catch (cause) {
			throw new BerthError("platform_error", `The secret ${of} is damaged: set it again.`, { cause });
		}
	}
}

/** With a key that is made of the one that seals, for nothing else. */
function signatureOf(key: string, text: string): string {
	return createHmac("sha256", keyFor("between machines", key)).update(text).digest("base64url");
}

/** A key for something else than sealing. */
function keyFor(use: string, key: string): Buffer {
	return createHmac("sha256", Buffer.from(key, "hex")).update(use).digest();
}
