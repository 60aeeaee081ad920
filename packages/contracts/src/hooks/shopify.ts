import { aHeader, decoded, hmac, isSignedWith, Refusal, theHeader } from "./delivery.js";
import { hexSecret, pairsOf, type Scheme, toldBySignature } from "./scheme.js";

const SIGNATURE = "x-shopify-hmac-sha256";
const DELIVERY = "x-shopify-webhook-id";
const TOPIC = "x-shopify-topic";

/**
 * HMAC-SHA256 of the body, in base64, with the app's client secret as the key; `X-Shopify-Webhook-Id` tells duplicates
 * (shopify.dev/docs/apps/build/webhooks/verify-deliveries). That header isn't signed, so the signature tells them, too.
 */
export const shopify: Scheme = {
	title: "Shopify",
	secretBy: "provider",
	newSecret: hexSecret,
	takes: [],
	secretHeaders: () => [],
	verify({ headers, body }, secrets) {
		const signature = decoded(theHeader(headers, SIGNATURE), "base64");
		if (signature?.length !== 32) throw new Refusal(`${SIGNATURE} isn't 32 bytes in base64`);
		if (!isSignedWith(secrets, [signature], (secret) => hmac("sha256", secret, [body])))
			throw new Refusal(`${SIGNATURE} isn't what the secret makes of the body`);
		return toldBySignature(signature, aHeader(headers, DELIVERY), aHeader(headers, TOPIC));
	},
	sign: ({ body, event, id }, secret) =>
		pairsOf([
			[SIGNATURE, hmac("sha256", secret, [body]).toString("base64")],
			[DELIVERY, id],
			[TOPIC, event],
		]),
};
