import type { World } from "../../packages/launcher/src/testing/world.js";
import { eventually } from "../harness/eventually.js";
import { type Deployed, type DeployInput, fixture } from "../harness/functions.js";
import { loopDevicesOf } from "../harness/leftovers.js";
import { ASKS } from "../harness/network-probes.js";
import type { Stack } from "../harness/stack.js";

/** What checks of networks and volumes are made with. */
interface Parts {
	readonly stack: Stack;
	/** Outside of the stack's host. */
	readonly world: World;
	/** Deploys when a sandbox is ready to build in. */
	deployed(input: DeployInput): Promise<Deployed>;
	readonly patienceMs: number;
}

const VOLUME = { name: "box", sizeMiB: 16 } as const;
/** A request to nowhere is over after this, in a slow machine, too. */
const WITHIN_MS = 60_000;

/** What a sandbox reaches beyond itself. */
export const OUTSIDE: Readonly<Record<string, (parts: Parts) => Promise<unknown>>> = { internet, allow, volume };

/** Out to what is public; not to what is private, nor to this host; and without a network to nothing. */
async function internet({ stack, world, deployed }: Parts) {
	const asks = await deployed({ network: "internet", source: ASKS });
	const none = await deployed({ source: ASKS });
	const [privately = ""] = world.notForSandboxes;
	return {
		// Whoever answers sees this host.
		seenAsHost: (await told(asks, "http://service.example/")).text === world.hostEnd,
		refused: [
			await told(asks, `http://${privately}/`),
			await told(asks, stack.url),
			await told(none, `http://${world.publicAddress}/`),
		].map(({ text }) => /^E[A-Z]+$/.test(text)),
	};
}

/** To the hosts that are named, and that is told of others which were asked for. */
async function allow({ world, deployed }: Parts) {
	const asks = await deployed({ network: { allow: ["service.example", "private.example"] }, source: ASKS });
	const allowed = await told(asks, "http://service.example/");
	return {
		allowed: { reached: allowed.text === world.hostEnd, limitsHit: allowed.limitsHit },
		denied: await told(asks, "http://evil.example/"),
		leadsInside: (await told(asks, "http://private.example/")).lines,
	};
}

/** It is as large as it is, stays when a sandbox that has it is killed, and is gone with its device when it is removed. */
async function volume({ stack, deployed, patienceMs }: Parts) {
	await stack.client.makeVolume(VOLUME.name, { sizeMiB: VOLUME.sizeMiB });
	const user = await deployed({ source: fixture("uses-files"), volumes: [{ name: VOLUME.name }] });
	const first = await user.record(await user.invoke({ do: "append", path: "/mnt/box/kept", text: "before" }));
	const { code, mebibytes } = await user.result<{ code: string; mebibytes: number }>({ do: "fill", path: "/mnt/box/full" });
	const { mount } = await user.result<{ mount: string }>({ do: "look", path: "/mnt/box/kept" });
	await stack.client.command({ kind: "kill", sandbox: first.sandbox ?? "" });
	const read = await user.invoke({ do: "read", path: "/mnt/box/kept" });
	const other = (await user.record(read)).sandbox !== first.sandbox;
	const devices = loopDevicesOf(stack.dataDir).length;
	await stack.client.remove(user.name);
	await stack.client.removeVolume(VOLUME.name);
	await eventually(() => {
		const still = loopDevicesOf(stack.dataDir);
		if (still.length > 0) throw new Error(`still there: ${still.join(", ")}`);
	}, patienceMs);
	return { code, fits: mebibytes > 0 && mebibytes < VOLUME.sizeMiB, mount, kept: read.raw.body.toString(), other, devices };
}

/** What came of a request to a URL, and what the invocation's record says of it. */
async function told(asks: Deployed, url: string) {
	const answer = await asks.invoke({ url, withinMs: WITHIN_MS });
	const { outcome, attempts, logs } = await asks.record(answer);
	if (outcome !== "succeeded") throw new Error(`${url}: ${outcome}: ${answer.problem?.detail}`);
	return { text: answer.raw.body.toString(), limitsHit: attempts.at(-1)?.limitsHit, lines: logs?.map(({ text }) => text) };
}
