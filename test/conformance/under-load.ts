import type { TestNode } from "./node.js";

/** Sandboxes of a node that is about to be killed: one rests, and one runs. */
export interface Loaded {
	/** All that there were. */
	readonly made: readonly string[];
	/** Whether both were there, with processes. */
	readonly had: boolean;
}

/** Has one sandbox rest and another run, for as long as the node lets them. */
export async function underLoad(node: Pick<TestNode, "sandboxes" | "made" | "processesOf">): Promise<Loaded> {
	const { sandboxes } = node;
	const resting = await sandboxes.invoke("leaves-timer", {});
	await sandboxes.frozen(resting.sandbox);
	const running = await sandboxes.acquire("sleeps");
	void sandboxes.attempt(running, { ms: sandboxes.patienceMs }).catch(() => undefined);
	const made = await node.made();
	return { made, had: [resting.sandbox, running.sandbox.id].every((each) => made.includes(each) && node.processesOf(each).length > 1) };
}
