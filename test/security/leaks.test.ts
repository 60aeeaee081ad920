import { afterAll, expect, it } from "vitest";
import { eventually } from "../harness/eventually.js";
import { beyond, footprintOf } from "../harness/footprint.js";
import { sharedStack } from "../harness/shared-stack.js";
import { HostileLoad } from "./hostile-load.js";

const stack = await sharedStack();
afterAll(async () => {
	await stack.client.command({ kind: "prewarm", floor: "default" });
});

it("110 hostile invocations leave no process, cgroup, mount, namespace, file, descriptor or lasting key", async () => {
	const hostile = await HostileLoad.deploy(stack);
	// Connections are open, and what is made once is there, before it counts.
	await hostile.run(HostileLoad.ROUND);
	const before = await footprintOf(stack);
	await stack.client.command({ kind: "prewarm", floor: "default" });
	await hostile.run(5 * HostileLoad.ROUND);
	await eventually(async () => expect(beyond(before, await footprintOf(stack))).toEqual(before), 30_000);
});
