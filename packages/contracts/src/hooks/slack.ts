import { SECOND_MS } from "../units.js";
import { decoded, hmac, isSignedWith, Refusal, recent, stringsIn, TOLERANCE_MS, theHeader } from "./delivery.js";
import { hexSecret, known, type Scheme } from "./scheme.js";

const SIGNATURE = "x-slack-signature";
const TIMESTAMP = "x-slack-request-timestamp";

/**
 * HMAC-SHA256 of `v0:<seconds>:<body>`, in hex after `v0=`; 5 minutes of tolerance (docs.slack.dev, "Verifying requests from
 * Slack"). An event's `event_id` is the same in each retry. `url_verification` is answered with its challenge (docs.slack.dev,
 * "url_verification event"), and only to who can sign.
 */
export const slack: Scheme = {
	title: "Slack",
	secretBy: "provider",
	newSecret: hexSecret,
	toleranceMs: TOLERANCE_MS,
	takes: [],
	secretHeaders: () => [],
	verify({ headers, body }, secrets, { nowMs, toleranceMs }) {
		const [, hex] = /^v0=([0-9a-fA-F]{64})$/.exec(theHeader(headers, SIGNATURE)) ?? [];
		const signature = hex === undefined ? undefined : decoded(hex, "hex");
		if (signature === undefined) throw new Refusal(`${SIGNATURE} isn't v0= and 64 hex digits`);
		const at = recent(theHeader(headers, TIMESTAMP), TIMESTAMP, nowMs, toleranceMs);
		if (!isSignedWith(secrets, [signature], (secret) => hmac("sha256", secret, [`v0:${at}:`, body])))
			throw new Refusal(`${SIGNATURE} isn't what the secret makes of time and body`);
		const string = stringsIn(body);
		const deliveryId = string("event_id");
		const challenge = string("type") === "url_verification" ? string("challenge") : undefined;
		return {
			verified: true,
			identities: [deliveryId === undefined ? `signature ${signature.toString("hex")}` : `id ${deliveryId}`],
			...known({ deliveryId, event: string("event", "type") ?? string("type"), challenge }),
		};
	},
	sign({ body, atMs }, secret) {
		const at = Math.floor(atMs / SECOND_MS);
		return [
			[TIMESTAMP, String(at)],
			[SIGNATURE, `v0=${hmac("sha256", secret, [`v0:${at}:`, body]).toString("hex")}`],
		];
	},
};
