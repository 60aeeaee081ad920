import { inject } from "vitest";
import { Stack, type StackAddress } from "./stack.js";

/** The stack of the worker that this file runs in: nobody else uses it meanwhile. It was used before, and isn't the file's to stop. */
export async function sharedStack(): Promise<Stack> {
	const answer = await fetch(`${inject("stacks")}/${process.env["VITEST_POOL_ID"]}`);
	if (!answer.ok) throw new Error(`no stack: ${await answer.text()}`);
	return Stack.attach((await answer.json()) as StackAddress);
}
