import type { World } from "../../packages/launcher/src/testing/world.js";
import type { Deployed, DeployInput } from "../harness/functions.js";
import { ASKS } from "../harness/network-probes.js";
import type { Stack } from "../harness/stack.js";

/** What checks of networks are made with. */
interface Parts {
	readonly stack: Stack;
	/** Outside of the stack's host. */
	readonly world: World;
	/** Deploys when a sandbox is ready to build in. */
	deployed(input: DeployInput): Promise<Deployed>;
}

/** A request to nowhere is over after this, in a slow machine, too. */
const WITHIN_MS = 60_000;

/** What a sandbox reaches beyond itself. */
export const OUTSIDE: Readonly<Record<string, (parts: Parts) => Promise<unknown>>> = { internet, allow };

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

/** What came of a request to a URL, and what the invocation's record says of it. */
async function told(asks: Deployed, url: string) {
	const answer = await asks.invoke({ url, withinMs: WITHIN_MS });
	const { outcome, attempts, logs } = await asks.record(answer);
	if (outcome !== "succeeded") throw new Error(`${url}: ${outcome}: ${answer.problem?.detail}`);
	return { text: answer.raw.body.toString(), limitsHit: attempts.at(-1)?.limitsHit, lines: logs?.map(({ text }) => text) };
}
