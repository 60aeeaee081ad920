import type { Weakenings } from "../weakening.js";

/** What holds a hook's senders. */
export const webhooks = {
	signature: {
		takes: "the verification: whatever a scheme says, the delivery is let in",
		edits: [
			[
				"packages/contracts/src/hooks/schemes.ts",
				"if (error instanceof Refusal) return { verified: false, reason: error.message };",
				"if (error instanceof Refusal) return { verified: true, identities: [] };",
			],
		],
	},
	"what was let in is known": {
		takes: "what tells a repetition",
		neverEnds: true,
		edits: [
			[
				"packages/gateway/src/hooks/deliveries.ts",
				'const told = hook.duplicates === "run" ? [] : identities;',
				"const told = identities.slice(0, 0);",
			],
		],
	},
	"time window": {
		takes: "the window of time",
		edits: [
			[
				"packages/contracts/src/hooks/delivery.ts",
				"if (Math.abs(ageMs) <= toleranceMs) return text;",
				"if (Math.abs(ageMs) >= 0) return text;",
			],
		],
	},
	"comparison in constant time": {
		takes: "the constant time of comparisons",
		edits: [
			[
				"packages/contracts/src/hooks/delivery.ts",
				"return timingSafeEqual(digestOf(a), digestOf(b));",
				"return digestOf(a).equals(digestOf(b));",
			],
		],
	},
	"raw body": {
		takes: "the raw body: what is verified is its JSON, written anew",
		edits: [
			[
				"packages/contracts/src/hooks/delivery.ts",
				"for (const part of parts) computed.update(part);",
				'const anew = (text: string) => { try { return JSON.stringify(JSON.parse(text)); } catch { return text; } };\n	for (const part of parts) computed.update(typeof part === "string" ? part : anew(Buffer.from(part).toString()));',
			],
		],
	},
} as const satisfies Weakenings;
