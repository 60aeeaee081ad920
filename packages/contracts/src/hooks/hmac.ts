import { SECOND_MS } from "../units.js";
import { aHeader, decoded, hmac as digestOf, isSignedWith, Refusal, recent, TOLERANCE_MS, theHeader } from "./delivery.js";
import { hexSecret, pairsOf, type Scheme, type SchemeSettings, toldBySignature } from "./scheme.js";

const HEADER = "x-signature";

/** Who signs in a way of their own: where the signature is, how it is written, and what is signed is the hook's to say. */
export const hmac: Scheme = {
	title: "HMAC",
	secretBy: "hook",
	newSecret: hexSecret,
	toleranceMs: TOLERANCE_MS,
	takes: ["header", "prefix", "algorithm", "encoding", "timestampHeader", "idHeader", "eventHeader"],
	secretHeaders: () => [],
	verify({ headers, body }, secrets, { nowMs, toleranceMs, settings }) {
		const { header, prefix, algorithm, encoding } = whole(settings);
		const text = theHeader(headers, header);
		const signature = text.startsWith(prefix) ? decoded(text.slice(prefix.length), encoding) : undefined;
		if (signature === undefined || signature.length === 0)
			throw new Refusal(`${header} isn't ${prefix === "" ? "" : `${prefix} and `}a signature in ${encoding}`);
		const { timestampHeader } = settings;
		const at = timestampHeader === undefined ? undefined : recent(theHeader(headers, timestampHeader), timestampHeader, nowMs, toleranceMs);
		if (!isSignedWith(secrets, [signature], (secret) => digestOf(algorithm, secret, signed(at, body))))
			throw new Refusal(`${header} isn't what the secret makes of ${at === undefined ? "the body" : "time and body"}`);
		const deliveryId = settings.idHeader === undefined ? undefined : aHeader(headers, settings.idHeader);
		const event = settings.eventHeader === undefined ? undefined : aHeader(headers, settings.eventHeader);
		return toldBySignature(signature, deliveryId, event);
	},
	sign({ body, event, id, atMs }, secret, settings) {
		const { header, prefix, algorithm, encoding } = whole(settings);
		const { timestampHeader, idHeader, eventHeader } = settings;
		const at = timestampHeader === undefined ? undefined : String(Math.floor(atMs / SECOND_MS));
		return pairsOf([
			[header, prefix + digestOf(algorithm, secret, signed(at, body)).toString(encoding)],
			...(timestampHeader === undefined ? [] : [[timestampHeader, at] as const]),
			...(idHeader === undefined ? [] : [[idHeader, id] as const]),
			...(eventHeader === undefined ? [] : [[eventHeader, event] as const]),
		]);
	},
};

function whole({ header = HEADER, prefix = "", algorithm = "sha256", encoding = "hex" }: SchemeSettings) {
	return { header, prefix, algorithm, encoding };
}

function signed(at: string | undefined, body: Uint8Array): readonly (string | Uint8Array)[] {
	return at === undefined ? [body] : [`${at}.`, body];
}
