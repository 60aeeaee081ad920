import type { Rows } from "../attack.js";
import { named } from "../named.js";

export const gateway: Rows<"Gateway"> = {
	"an oversize body": named(
		"before any sandbox",
		["gateway's limits"],
		["test/functional/outcomes.test.ts", "of a request (%s) are 413, and nothing runs"],
		["packages/gateway/src/app.test.ts", "that doesn't say its length is cut off at the limit, and the refusal arrives"],
	),
	"slow headers": named(
		"before any sandbox",
		["gateway's limits"],
		["packages/gateway/src/app.test.ts", "a head that doesn't end is 408"],
		["test/faults/callers.test.ts", "hold no one up: a hundred half-sent requests, and an invocation is answered"],
	),
	"a slow body": named(
		"before any sandbox",
		["gateway's limits"],
		["packages/gateway/src/app.test.ts", "a body that doesn't end is closed, and others are served meanwhile"],
		["packages/gateway/src/slow-clients.test.ts", "take no place from others, however many they are"],
	),
	"a slow reader": named(
		"before any sandbox",
		["gateway's limits"],
		["packages/gateway/src/slow-clients.test.ts", "is cut off, and that is told; it takes no place meanwhile, and nothing of it is stored"],
		["test/functional/streaming.test.ts", "waits for a client that reads slowly, and holds no more than what is on its way"],
	),
	"malformed JSON": named(
		"before any sandbox",
		["gateway's checks"],
		["test/functional/bad-input.test.ts", "of an invocation that says it is JSON and isn't is the caller's mistake, waited for or not"],
	),
	"deep JSON": named(
		"before any sandbox",
		["gateway's checks"],
		["test/functional/bad-input.test.ts", "of a deploy %s is refused"],
		["packages/gateway/src/deploys.test.ts", "a deploy is refused, and nothing of it stays, for"],
	),
	"`..%2f`, NUL, look-alikes and `__proto__` as names": named(
		"before any sandbox",
		["gateway's checks"],
		["test/functional/bad-input.test.ts", "%s is refused on every route that takes one"],
	),
	"`__proto__` in a body": named(
		"before any sandbox",
		["gateway's checks"],
		["test/functional/bad-input.test.ts", "that reaches for the prototype changes nothing"],
	),
	"no token": named(
		"before any sandbox",
		["keys and scopes"],
		["test/functional/bad-input.test.ts", "is wanted on every route that the document says is locked, whatever it is asked about"],
	),
	"another project's token": named(
		"before any sandbox",
		["projects"],
		["test/security/projects.test.ts", "without a key of its project nothing can be had"],
	),
	"100 racing deploys of one name": named(
		"before any sandbox",
		["one script in Redis"],
		["packages/gateway/src/deploys.test.ts", "100 of one name at once get 100 numbers, and the last of them is live"],
	),
	"a client that disconnects": named(
		"before any sandbox",
		["cancellation"],
		["test/functional/streaming.test.ts", "whose client goes away is cancelled, and its sandbox serves on"],
		["test/faults/callers.test.ts", "in the middle of an invocation leaves the pool healthy and its invocation settled"],
	),
	"what isn't HTTP": named("before any sandbox", ["gateway's checks"], ["packages/gateway/src/app.test.ts", "what isn't HTTP is 400"]),
	"a request that is two": named(
		"before any sandbox",
		["gateway's checks"],
		["packages/gateway/src/smuggling.test.ts", "refused once, and the connection closed"],
		["packages/gateway/src/smuggling.test.ts", "read as it is written"],
	),
	"headers that aren't a function's to say": named(
		"before any sandbox",
		["gateway's checks"],
		["packages/gateway/src/answer-headers.test.ts", "of what a function says in its answer's headers"],
	),
	"connections without end": named(
		"before any sandbox",
		["gateway's limits"],
		["packages/gateway/src/connections.test.ts", "one address has its share, is told when it has it, and others are served"],
	),
	"deploys that race for a quota's last place": named(
		"before any sandbox",
		["one script in Redis"],
		[
			"packages/gateway/src/quotas.test.ts",
			"deploys that race for the last places: no more get one, and what is there can be deployed anew",
		],
	),
};
