import { existsSync, readdirSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { OciEngine } from "@berth/sandbox";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Deployed, deploy } from "../harness/functions.js";
import { Stack } from "../harness/stack.js";

const HOUR_MS = 3_600_000;

let stack: Stack;
beforeAll(async () => {
	stack = await Stack.start({ BERTH_PREWARMED: "1" });
});
afterAll(async () => {
	await stack?.stop();
});

const layers = () => join(stack.dataDir, "launcher", "layers");

function layerOf({ version }: Deployed): string {
	const digest = version.image?.layers.at(-1)?.digest ?? "";
	return join(layers(), digest.slice("sha256:".length, "sha256:".length + 32));
}

/** As if nobody had wanted any layer for two hours. */
function age(): void {
	const then = new Date(Date.now() - 2 * HOUR_MS);
	for (const name of readdirSync(layers())) utimesSync(join(layers(), name), then, then);
}

async function drop(): Promise<number> {
	const engine = await OciEngine.connect(join(stack.dataDir, "run", "launcher.sock"));
	try {
		return await engine.dropLayers(HOUR_MS);
	} finally {
		await engine.close();
	}
}

it("a node's disk holds the layers that are used: those of sandboxes and bases stay, others go, and come back when they are wanted", async () => {
	const used = await deploy(stack, { source: "let n = 0; export default () => ++n;" });
	expect(await used.result()).toBe(1);
	const unused = await deploy(stack, { source: "export default () => 'here again';" });
	age();
	expect(await drop()).toBe(1);
	expect([existsSync(layerOf(used)), existsSync(layerOf(unused))]).toEqual([true, false]);
	// The sandbox that has it goes on, others of its version start, and so does what needs the bases alone.
	expect(await used.result()).toBe(2);
	expect(await (await deploy(stack, { source: "export default () => 'new';" })).result()).toBe("new");
	await stack.killAndAwaitNext("worker");
	await expect.poll(() => unused.result().catch(String)).toBe("here again");
	expect(existsSync(layerOf(unused))).toBe(true);
	expect(await used.result()).toBe(1);
});

it("what needs a layer that went all the same fails once at most", async () => {
	const deployed = await deploy(stack, { source: "export default () => 'mended';" });
	age();
	expect(await drop()).toBeGreaterThan(0);
	expect(existsSync(layerOf(deployed))).toBe(false);
	expect((await deployed.invoke()).problem).toMatchObject({ fault: "platform" });
	expect(await deployed.result()).toBe("mended");
});
