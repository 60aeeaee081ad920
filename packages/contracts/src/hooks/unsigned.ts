import { aHeader, type HeaderPairs, isSame, Refusal, theHeader, type Verified } from "./delivery.js";
import { hexSecret, known, type Message, pairsOf, type Scheme, type SchemeSettings } from "./scheme.js";

const HEADER = "authorization";
const BEARER = "Bearer ";

/** Who sends a secret along as it is. */
export const token: Scheme = {
	title: "a token",
	secretBy: "hook",
	newSecret: hexSecret,
	takes: ["header", "prefix", "idHeader", "eventHeader"],
	secretHeaders: ({ header = HEADER }) => [header],
	verify({ headers }, secrets, { settings }) {
		const { header = HEADER } = settings;
		const given = theHeader(headers, header);
		const prefix = prefixOf(settings);
		if (secrets.filter((secret) => isSame(prefix + secret, given)).length === 0)
			throw new Refusal(`${header} isn't ${prefix === "" ? "" : `${prefix.trim()} and `}the secret`);
		return identified(headers, settings);
	},
	sign: (message, secret, settings) => [
		[settings.header ?? HEADER, prefixOf(settings) + secret] as const,
		...identifying(message, settings),
	],
};

/** Who can't prove who they are: whoever knows the URL is let in. */
export const none: Scheme = {
	title: "nobody in particular",
	secretBy: "nobody",
	newSecret: hexSecret,
	takes: ["idHeader", "eventHeader"],
	secretHeaders: () => [],
	verify: ({ headers }, _secrets, { settings }) => identified(headers, settings),
	sign: (message, _secret, settings) => identifying(message, settings),
};

function prefixOf({ header = HEADER, prefix }: SchemeSettings): string {
	return prefix ?? (header === HEADER ? BEARER : "");
}

function identified(headers: HeaderPairs, { idHeader, eventHeader }: SchemeSettings): Verified {
	const deliveryId = idHeader === undefined ? undefined : aHeader(headers, idHeader);
	const event = eventHeader === undefined ? undefined : aHeader(headers, eventHeader);
	return { verified: true, identities: deliveryId === undefined ? [] : [`id ${deliveryId}`], ...known({ deliveryId, event }) };
}

function identifying({ id, event }: Message, { idHeader, eventHeader }: SchemeSettings): HeaderPairs {
	return pairsOf([
		...(idHeader === undefined ? [] : [[idHeader, id] as const]),
		...(eventHeader === undefined ? [] : [[eventHeader, event] as const]),
	]);
}
