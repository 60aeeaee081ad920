import { aHeader, decoded, hmac, isSignedWith, Refusal, theHeader } from "./delivery.js";
import { hexSecret, pairsOf, type Scheme, toldBySignature } from "./scheme.js";

const SIGNATURE = "x-hub-signature-256";
const DELIVERY = "x-github-delivery";
const EVENT = "x-github-event";

/**
 * HMAC-SHA256 of the body, in hex after `sha256=` (docs.github.com, "Validating webhook deliveries"). There is no timestamp,
 * and the delivery's id, which a redelivery keeps ("Best practices for using webhooks"), isn't signed: so the signature, too,
 * tells a repetition. The older SHA-1 signature isn't looked at.
 */
export const github: Scheme = {
	title: "GitHub",
	secretBy: "hook",
	newSecret: hexSecret,
	takes: [],
	secretHeaders: () => [],
	verify({ headers, body }, secrets) {
		const [, hex] = /^sha256=([0-9a-fA-F]{64})$/.exec(theHeader(headers, SIGNATURE)) ?? [];
		const signature = hex === undefined ? undefined : decoded(hex, "hex");
		if (signature === undefined) throw new Refusal(`${SIGNATURE} isn't sha256= and 64 hex digits`);
		if (!isSignedWith(secrets, [signature], (secret) => hmac("sha256", secret, [body])))
			throw new Refusal(`${SIGNATURE} isn't what the secret makes of the body`);
		return toldBySignature(signature, aHeader(headers, DELIVERY), aHeader(headers, EVENT));
	},
	sign: ({ body, event, id }, secret) =>
		pairsOf([
			[SIGNATURE, `sha256=${hmac("sha256", secret, [body]).toString("hex")}`],
			[DELIVERY, id],
			[EVENT, event],
		]),
};
