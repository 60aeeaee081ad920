import { createHash } from "node:crypto";
import { SECOND_MS } from "../units.js";
import { decoded, hmac, isSignedWith, Refusal, recent, stringsIn, TOLERANCE_MS, theHeader } from "./delivery.js";
import { hexSecret, known, type Scheme } from "./scheme.js";

const SIGNATURE = "stripe-signature";
/** While Stripe rolls a secret it signs with two. */
const MOST_SIGNATURES = 10;

/**
 * `t=<seconds>,v1=<hex>[,v1=<hex>]`: HMAC-SHA256 of the time, a dot and the body, with the whole secret as the key, `whsec_` and
 * all; 5 minutes of tolerance (docs.stripe.com/webhooks, "Verify webhook signatures manually" and "Preventing replay attacks").
 * Other versions (`v0`) are left out of account, so that nobody can choose a weaker one. A retry is signed anew: what tells it is the event's id in the body,
 * and without one what is signed: of several signatures anybody may leave out all but one, or add others.
 */
export const stripe: Scheme = {
	title: "Stripe",
	secretBy: "provider",
	newSecret: (random) => `whsec_${hexSecret(random)}`,
	toleranceMs: TOLERANCE_MS,
	takes: [],
	secretHeaders: () => [],
	verify({ headers, body }, secrets, { nowMs, toleranceMs }) {
		const parts = theHeader(headers, SIGNATURE).split(",");
		const valuesOf = (name: string) => parts.filter((part) => part.startsWith(`${name}=`)).map((part) => part.slice(name.length + 1));
		const [time, ...others] = valuesOf("t");
		if (time === undefined || others.length > 0) throw new Refusal(`${SIGNATURE} doesn't have one t=`);
		const signatures = valuesOf("v1").map((hex) => decoded(hex, "hex"));
		if (signatures.length === 0 || signatures.length > MOST_SIGNATURES || !signatures.every((each) => each?.length === 32))
			throw new Refusal(`${SIGNATURE} doesn't have 1 to ${MOST_SIGNATURES} v1= of 64 hex digits`);
		const at = recent(time, `t of ${SIGNATURE}`, nowMs, toleranceMs);
		if (!isSignedWith(secrets, signatures as Buffer[], (secret) => hmac("sha256", secret, [`${at}.`, body])))
			throw new Refusal(`${SIGNATURE} has no v1 that the secret makes of time and body`);
		const string = stringsIn(body);
		const deliveryId = string("id");
		return {
			verified: true,
			identities: [deliveryId === undefined ? `signed ${at} ${createHash("sha256").update(body).digest("hex")}` : `id ${deliveryId}`],
			...known({ deliveryId, event: string("type") }),
		};
	},
	sign({ body, atMs }, secret) {
		const at = Math.floor(atMs / SECOND_MS);
		return [[SIGNATURE, `t=${at},v1=${hmac("sha256", secret, [`${at}.`, body]).toString("hex")}`]];
	},
};
