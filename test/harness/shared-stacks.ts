import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestProject } from "vitest/node";
import { areBasesKept, takeKeptBases } from "./kept-bases.js";
import { Stack } from "./stack.js";
import { capabilitiesOfUnit } from "./systemd-unit.js";

declare module "vitest" {
	export interface ProvidedContext {
		/** Where a test process asks for its stack. */
		readonly stacks: string;
	}
}

/**
 * Stacks that files of a suite have one after another: each of vitest's workers has one, so a file has it for itself. The first starts
 * while suites run that need none, and makes the bases that all others take, or none of them starts; another is started when a worker asks for it.
 * @returns how they are stopped, after the last file; each must leave nothing
 */
export async function shareStacks(project: TestProject, start: () => Promise<Stack>): Promise<() => Promise<void>> {
	const first = start();
	const stacks = new Map([["/1", first]]);
	// Whoever asks for it is told when it doesn't start.
	const isOver = first.then(
		() => undefined,
		() => undefined,
	);
	const server = createServer(async ({ url = "" }, response) => {
		await isOver;
		const starting = stacks.get(url) ?? start();
		stacks.set(url, starting);
		try {
			response.end(JSON.stringify((await starting).address));
		} catch (error) {
			// The worker's next file tries again.
			stacks.delete(url);
			response.writeHead(500).end((error as Error).message);
		}
	});
	await once(server.listen(0, "127.0.0.1"), "listening");
	project.provide("stacks", `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
	return async () => {
		server.close();
		const ends = await Promise.allSettled([...stacks.values()].map(async (starting) => (await starting).stop()));
		for (const end of ends) if (end.status === "rejected") throw end.reason;
	};
}

/** With what infra/systemd/berth.service leaves of root's privileges: it is enough for all that these suites do. */
function asService(): readonly string[] {
	const bounds = ["-all", ...capabilitiesOfUnit().map((name) => `+${name}`)].join(",");
	return ["setpriv", "--no-new-privs", "--inh-caps", "-all", "--bounding-set", bounds, "--"];
}

/** @throws Error when the bases of the run's first stack weren't kept for all others */
async function startOrdinary(): Promise<Stack> {
	const stack = await Stack.start({ BERTH_CRASHES_ALLOWED: "0" }, takeKeptBases, asService());
	if (areBasesKept()) return stack;
	await stack.stop();
	throw new Error("the first stack is up and its bases weren't kept: each of this run would make its own (test/harness/kept-bases.ts)");
}

/** The same as vitest's globalSetup, with ordinary ones. */
export default (project: TestProject): Promise<() => Promise<void>> => shareStacks(project, startOrdinary);
