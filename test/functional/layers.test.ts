import { existsSync } from "node:fs";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Deployed, deploy } from "../harness/functions.js";
import { dropUnpacked, unpackedLayer } from "../harness/layers.js";
import { Stack } from "../harness/stack.js";

let stack: Stack;
beforeAll(async () => {
	stack = await Stack.start({ BERTH_PREWARMED: "1" });
});
afterAll(async () => {
	await stack?.stop();
});

const layerOf = ({ version }: Deployed) => unpackedLayer(stack, version.image?.layers.at(-1)?.digest ?? "");

it("a node's disk holds the layers that are used: those of sandboxes and bases stay, others go, and come back when they are wanted", async () => {
	const used = await deploy(stack, { source: "let n = 0; export default () => ++n;" });
	expect(await used.result()).toBe(1);
	const unused = await deploy(stack, { source: "export default () => 'here again';" });
	expect(await dropUnpacked(stack)).toBe(1);
	expect([existsSync(layerOf(used)), existsSync(layerOf(unused))]).toEqual([true, false]);
	// The sandbox that has it goes on, others of its version start, and so does what needs the bases alone.
	expect(await used.result()).toBe(2);
	expect(await (await deploy(stack, { source: "export default () => 'new';" })).result()).toBe("new");
	await stack.killAndAwaitNext("worker");
	await expect.poll(() => unused.result().catch(String)).toBe("here again");
	expect(existsSync(layerOf(unused))).toBe(true);
	expect(await used.result()).toBe(1);
});

it("what needs a layer that went all the same has it unpacked again", async () => {
	const deployed = await deploy(stack, { source: "export default () => 'mended';" });
	expect(await dropUnpacked(stack)).toBeGreaterThan(0);
	expect(existsSync(layerOf(deployed))).toBe(false);
	expect(await deployed.result()).toBe("mended");
});
