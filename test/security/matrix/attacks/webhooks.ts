import type { Rows } from "../attack.js";
import { named } from "../named.js";

export const webhooks: Rows<"Webhook"> = {
	"a bad, truncated or empty signature": named(
		"before any sandbox",
		["signature"],
		[
			"packages/contracts/src/hooks/schemes.test.ts",
			"refuses each header of it that is stripped, emptied, cut, longer, or there twice, and says nothing of the secret",
		],
		["test/functional/hooks.test.ts", "is answered by it, once, and only when it is signed; its log follows live"],
	),
	"a wrong or weaker algorithm": named(
		"before any sandbox",
		["signature"],
		["packages/contracts/src/hooks/schemes.test.ts", "GitHub's SHA-1 signature alone isn't looked at"],
		["packages/contracts/src/hooks/schemes.test.ts", "nor are Stripe's other versions, however many"],
	),
	"a replay": named(
		"before any sandbox",
		["what was let in is known"],
		[
			"packages/gateway/src/hooks/deliveries.test.ts",
			"gets the first answer when it comes again, also under another id, and runs once; ten at the same time run once",
		],
		["test/functional/hooks.test.ts", "is remembered through a gateway that is killed: what was let in isn't run again"],
	),
	"a replay at the same time": named(
		"before any sandbox",
		["what was let in is known"],
		["packages/gateway/src/hooks/deliveries.test.ts", "is refused while the same is being run, and says when to come again"],
	),
	"outside the window, or of the future": named(
		"before any sandbox",
		["time window"],
		["packages/contracts/src/hooks/schemes.test.ts", "refuses what is too old, or of the future, and a time that isn't what was signed"],
	),
	"a body that was changed": named(
		"before any sandbox",
		["raw body"],
		["packages/contracts/src/hooks/schemes.test.ts", "refuses a body of which a byte is another, is missing, or is too many"],
		[
			"packages/gateway/src/hooks/deliveries.test.ts",
			"reaches its function with raw body, query and headers, and the answer comes back; the log has it all",
		],
	),
	"two keys during rotation": named(
		"before any sandbox",
		["signature"],
		["packages/contracts/src/hooks/schemes.test.ts", "lets in what it signs, also with the secret before"],
		["packages/contracts/src/hooks/schemes.test.ts", "refuses another secret, none at all, and one that isn't set"],
	),
	"guessing by time": named(
		"before any sandbox",
		["comparison in constant time"],
		["packages/contracts/src/hooks/constant-time.test.ts", "what %s signs is compared by digests, in constant time, with every secret"],
	),
	"a stranger's flood": named(
		"before any sandbox",
		["signature"],
		[
			"packages/gateway/src/hooks/deliveries.test.ts",
			"takes so many, then says when to come again, and logs that; who can't sign doesn't use it up",
		],
	),
};
