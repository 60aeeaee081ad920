import { aHeader, isSame, Refusal, TOLERANCE_MS, theHeader } from "./delivery.js";
import { hexSecret, known, pairsOf, type Scheme } from "./scheme.js";
import { keyOf, standardWebhooks, verifiedId } from "./standard-webhooks.js";

const TOKEN = "x-gitlab-token";
const EVENT = "x-gitlab-event";
const ID = "idempotency-key";
const SIGNATURE = "webhook-signature";

/**
 * The secret token as it is, in `X-Gitlab-Token`; the `Idempotency-Key` is the same in each retry (docs.gitlab.com,
 * "Webhooks", delivery headers). A secret that starts with `whsec_` is a signing token, with which GitLab signs as Standard
 * Webhooks has it (gitlab-org/gitlab!230944); then only that counts, so that nobody can do without.
 */
export const gitlab: Scheme = {
	title: "GitLab",
	secretBy: "hook",
	newSecret: hexSecret,
	toleranceMs: TOLERANCE_MS,
	takes: [],
	secretHeaders: () => [TOKEN],
	verify(delivery, secrets, circumstances) {
		const { headers } = delivery;
		const event = aHeader(headers, EVENT);
		const signing = secrets.filter(isSigning);
		const plain = secrets.filter((secret) => !isSigning(secret));
		// While a token is replaced by one for signing both are good.
		if (plain.length === 0 || (signing.length > 0 && aHeader(headers, SIGNATURE) !== undefined)) {
			const deliveryId = verifiedId(delivery, signing, circumstances);
			return { verified: true, identities: [`id ${deliveryId}`], ...known({ deliveryId, event }) };
		}
		const token = theHeader(headers, TOKEN);
		if (plain.filter((secret) => isSame(secret, token)).length === 0) throw new Refusal(`${TOKEN} isn't the secret`);
		const deliveryId = aHeader(headers, ID);
		return { verified: true, identities: deliveryId === undefined ? [] : [`id ${deliveryId}`], ...known({ deliveryId, event }) };
	},
	sign(message, secret) {
		const { event, id } = message;
		const signed = isSigning(secret) ? standardWebhooks.sign(message, secret, {}) : [[TOKEN, secret] as const];
		return [
			...signed,
			...pairsOf([
				[ID, id],
				[EVENT, event],
			]),
		];
	},
};

function isSigning(secret: string): boolean {
	return secret.startsWith("whsec_") && keyOf(secret) !== undefined;
}
