import { inject } from "vitest";
import type { TestProject } from "vitest/node";
import { Stack, type StackAddress } from "./stack.js";

declare module "vitest" {
	export interface ProvidedContext {
		readonly stack: StackAddress;
	}
}

/** One stack for all files of a suite (vitest's globalSetup); it is stopped after the last, and must leave nothing. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
	const stack = await Stack.start();
	project.provide("stack", stack.address);
	return () => stack.stop();
}

/** The suite's stack. */
export function sharedStack(): Stack {
	return Stack.attach(inject("stack"));
}
