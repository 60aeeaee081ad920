import type { HeaderPairs, SignedDelivery, Verified } from "./delivery.js";

/** What of a scheme is its hook's to say; each where the scheme takes it. Header names are in lower case. */
export interface SchemeSettings {
	/** Where the signature, or the token, is. */
	readonly header?: string;
	/** What stands before it. */
	readonly prefix?: string;
	readonly algorithm?: "sha1" | "sha256" | "sha512";
	readonly encoding?: "hex" | "base64" | "base64url";
	/** Where seconds since the epoch are; what is signed is then those, a dot and the body. */
	readonly timestampHeader?: string;
	/** Where a delivery's id is, the same in each repetition. */
	readonly idHeader?: string;
	/** Where it says what happened. */
	readonly eventHeader?: string;
}

/** What a verification goes by, beside the secrets. */
export interface Circumstances {
	readonly nowMs: number;
	/** How much a signed timestamp may be off, milliseconds. */
	readonly toleranceMs: number;
	readonly settings: SchemeSettings;
}

/** What is to be signed, to try a hook out. */
export interface Message {
	readonly body: Uint8Array;
	readonly event?: string;
	readonly id: string;
	readonly atMs: number;
}

/** How deliveries of one provider are signed. Verification and signing are side by side, so that one can't drift from the other. */
export interface Scheme {
	/** Whose deliveries: for people. */
	readonly title: string;
	/** Who makes the secret: the hook, the provider (it is set when it is known), or nobody. */
	readonly secretBy: "hook" | "provider" | "nobody";
	/** A secret that there can't be: what is wrong with it. Default: 8 to 256 printable characters. */
	readonly wrongSecret?: (secret: string) => string | undefined;
	/** A new secret from 32 random bytes. */
	readonly newSecret: (random: Uint8Array) => string;
	/** The default of how much a signed timestamp may be off, milliseconds; absent: there is none. */
	readonly toleranceMs?: number;
	/** Which settings it takes. */
	readonly takes: readonly (keyof SchemeSettings)[];
	/** Headers that hold the secret itself: neither shown nor handed on. */
	readonly secretHeaders: (settings: SchemeSettings) => readonly string[];
	/** @param secrets that are good now, one or two. @throws Refusal */
	readonly verify: (delivery: SignedDelivery, secrets: readonly string[], circumstances: Circumstances) => Verified;
	/** Headers that a delivery of this message has. */
	readonly sign: (message: Message, secret: string, settings: SchemeSettings) => HeaderPairs;
}

export const hexSecret = (random: Uint8Array): string => Buffer.from(random).toString("hex");

/** What is there, of pairs that may have no value. */
export function pairsOf(pairs: readonly (readonly [string, string | undefined])[]): HeaderPairs {
	return pairs.filter((pair): pair is readonly [string, string] => pair[1] !== undefined);
}

/** Fields that have a value. */
export function known<Fields extends Readonly<Record<string, string | undefined>>>(fields: Fields): { [Name in keyof Fields]?: string } {
	return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as { [Name in keyof Fields]?: string };
}

/** A delivery whose id isn't signed: it may be another one in a repetition, so the signature tells one, too. */
export function toldBySignature(signature: Buffer, deliveryId: string | undefined, event: string | undefined): Verified {
	return {
		verified: true,
		identities: [...(deliveryId === undefined ? [] : [`id ${deliveryId}`]), `signature ${signature.toString("hex")}`],
		...known({ deliveryId, event }),
	};
}
