import { SECOND_MS } from "../units.js";
import { decoded, hmac, isSignedWith, Refusal, recent, type SignedDelivery, stringsIn, TOLERANCE_MS, theHeader } from "./delivery.js";
import { type Circumstances, known, type Scheme } from "./scheme.js";

const ID = "webhook-id";
const TIMESTAMP = "webhook-timestamp";
const SIGNATURE = "webhook-signature";
const PREFIX = "whsec_";
/** While its sender rotates a secret there are two; who sends more has us compute for nothing. */
const MOST_SIGNATURES = 10;

/**
 * `webhook-signature` has one or more `v1,<base64>` with spaces between: HMAC-SHA256 of id, time and body with dots between, the
 * key being 24 to 64 bytes that the secret has in base64, after `whsec_` (github.com/standard-webhooks/standard-webhooks,
 * spec/standard-webhooks.md). Asymmetric signatures (`v1a`) aren't looked at. Its libraries tolerate 5 minutes. All of it is signed, the id included.
 */
export const standardWebhooks: Scheme = {
	title: "Standard Webhooks",
	secretBy: "hook",
	wrongSecret: (secret) => (keyOf(secret) === undefined ? "whsec_ and 24 to 64 bytes in base64" : undefined),
	newSecret: (random) => PREFIX + Buffer.from(random).toString("base64"),
	toleranceMs: TOLERANCE_MS,
	takes: [],
	secretHeaders: () => [],
	verify: (delivery, secrets, circumstances) => {
		const deliveryId = verifiedId(delivery, secrets, circumstances);
		return { verified: true, identities: [`id ${deliveryId}`], ...known({ deliveryId, event: stringsIn(delivery.body)("type") }) };
	},
	sign({ body, id, atMs }, secret) {
		const at = String(Math.floor(atMs / SECOND_MS));
		return [
			[ID, id],
			[TIMESTAMP, at],
			[SIGNATURE, `v1,${hmac("sha256", keyOf(secret) ?? secret, [`${id}.${at}.`, body]).toString("base64")}`],
		];
	},
};

/** The id of what is signed so. @throws Refusal */
export function verifiedId({ headers, body }: SignedDelivery, secrets: readonly string[], { nowMs, toleranceMs }: Circumstances): string {
	const id = theHeader(headers, ID);
	const signatures = theHeader(headers, SIGNATURE)
		.split(" ")
		.filter((each) => each.startsWith("v1,"))
		.map((each) => decoded(each.slice(3), "base64"));
	if (signatures.length === 0 || signatures.length > MOST_SIGNATURES || !signatures.every((each) => each?.length === 32))
		throw new Refusal(`${SIGNATURE} doesn't have 1 to ${MOST_SIGNATURES} v1, of 32 bytes in base64`);
	const at = recent(theHeader(headers, TIMESTAMP), TIMESTAMP, nowMs, toleranceMs);
	const keys = secrets.map(keyOf).filter((key) => key !== undefined);
	if (!isSignedWith(keys, signatures as Buffer[], (key) => hmac("sha256", key, [`${id}.${at}.`, body])))
		throw new Refusal(`${SIGNATURE} has no v1 that the secret makes of id, time and body`);
	return id;
}

/** The key that a secret of this form has. */
export function keyOf(secret: string): Buffer | undefined {
	const key = decoded(secret.startsWith(PREFIX) ? secret.slice(PREFIX.length) : secret, "base64");
	return key !== undefined && key.length >= 24 && key.length <= 64 ? key : undefined;
}
