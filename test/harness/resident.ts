import { readFile } from "node:fs/promises";
import type { ProcessName, Stack } from "./stack.js";

/** What processes of a stack have in memory, MiB. */
export async function residentMiB(stack: Stack, ...names: readonly ProcessName[]): Promise<readonly number[]> {
	const statuses = await Promise.all(names.map(async (name) => readFile(`/proc/${await stack.pidOf(name)}/status`, "utf8")));
	return statuses.map((status) => Math.round(Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) / 1024));
}
