import { Refusal, type SignedDelivery, type Verdict } from "./delivery.js";
import { github } from "./github.js";
import { gitlab } from "./gitlab.js";
import { hmac } from "./hmac.js";
import type { Circumstances, Scheme } from "./scheme.js";
import { shopify } from "./shopify.js";
import { slack } from "./slack.js";
import { standardWebhooks } from "./standard-webhooks.js";
import { stripe } from "./stripe.js";
import { none, token } from "./unsigned.js";

/** Every scheme there is, by its name. */
export const SCHEMES = {
	github,
	stripe,
	slack,
	gitlab,
	shopify,
	"standard-webhooks": standardWebhooks,
	hmac,
	token,
	none,
} as const satisfies Record<string, Scheme>;

export type SchemeName = keyof typeof SCHEMES;
export const SCHEME_NAMES = Object.keys(SCHEMES) as [SchemeName, ...SchemeName[]];

/** The scheme of that name, with what not every one has. */
export function schemeOf(name: SchemeName): Scheme {
	return SCHEMES[name];
}

/** Whether a delivery is what it says: by its raw bytes, in a time that says nothing of the secret. */
export function verifyDelivery(
	name: SchemeName,
	delivery: SignedDelivery,
	secrets: readonly string[],
	circumstances: Circumstances,
): Verdict {
	const scheme = schemeOf(name);
	if (scheme.secretBy !== "nobody" && secrets.length === 0) return { verified: false, reason: "the hook's secret isn't set yet" };
	try {
		return scheme.verify(delivery, secrets, circumstances);
	} catch (error) {
		if (error instanceof Refusal) return { verified: false, reason: error.message };
		throw error;
	}
}
