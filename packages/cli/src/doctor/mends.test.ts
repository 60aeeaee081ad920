import { loadSettings } from "@berth/config";
import { expect, test } from "vitest";
import { mendOfUnready } from "./mends.js";

const OWN = loadSettings({ BERTH_DATA_DIR: "/var/lib/berth" });
const THEIRS = { ...OWN, embedded: { durable: true, fast: false }, fastRedisUrl: "redis://:pass@10.0.0.5:6380" };

/** As a gateway says it at /readyz. */
const SILENT = "writing to the fast Redis: the fast Redis doesn't answer (Command timed out); try again";
const DRAINED = "no node takes work: node_1 is drained, or stops. `berth drain --undo <node>` has one work again that an operator drained";

test.each([
	["a server of the stack's own that says nothing", SILENT, OWN, /^Read logs\/redis-fast\.log .* not one that is there and says nothing/],
	[
		"a server of the operator's, without its password",
		SILENT,
		THEIRS,
		/^See to the server of BERTH_FAST_REDIS_URL \(redis:\/\/10\.0\.0\.5:6380\)/,
	],
	["nodes that are drained", DRAINED, OWN, /^One that stops is back when `berth up` on its machine has started it\.$/],
	["what the supervisor starts again", "no worker is registered", OWN, /^Read the logs in the data directory/],
])("what helps against %s", (_, detail, settings, said) => {
	expect(mendOfUnready(detail, settings)).toMatch(said);
});
