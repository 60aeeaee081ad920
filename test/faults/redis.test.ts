import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { away, FAILED_OVER, FULL, REPLICA, RESTARTED, SILENT, SLOW, UNFOLLOWED } from "./redis/faults.js";
import { NamedServers } from "./redis/named-servers.js";

let servers: NamedServers;
beforeAll(async () => {
	servers = await NamedServers.start();
});
afterAll(() => servers?.[Symbol.asyncDispose]());

describe.each(["durable", "fast"] as const)("a %s Redis that is", (role) => {
	it.each([RESTARTED, away(1000), FULL, REPLICA, UNFOLLOWED, SLOW, SILENT, FAILED_OVER])(
		"$name: what needs it is refused, never acknowledged; nothing accepted is lost, nothing runs that mustn't, and all goes on when it is back",
		async (fault) => {
			const { history } = await servers.through(role, fault);
			// That there was something to see: histories in which everything is refused prove nothing.
			expect(history.records.length).toBeGreaterThan(0);
		},
	);
});
