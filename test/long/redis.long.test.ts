import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { away, type Fault, SILENT } from "../faults/redis/faults.js";
import { NamedServers } from "../faults/redis/named-servers.js";
import { residentBytesOf } from "../harness/footprint.js";

/** Seconds; `TEST_AWAY` says others, `10,60`. */
const AWAY = (process.env["TEST_AWAY"] ?? "10,60,300").split(",").map(Number);
/** What is promised: a success of both lanes so soon after a server is back, milliseconds. */
const BACK_MS = 5000;
/** What gateway and worker may grow by, of which most is what V8 hasn't collected. */
const GROWN_MIB = 64;
const MIB = 1024 * 1024;
const silent = (lastsMs: number): Fault => ({ ...SILENT, name: `silent for ${lastsMs / 1000} s`, lastsMs });

let servers: NamedServers;
beforeAll(async () => {
	servers = await NamedServers.start();
	// Buffers, code: what a first outage takes for good.
	for (const role of ["durable", "fast"] as const) await servers.through(role, away(1000));
});
afterAll(() => servers?.[Symbol.asyncDispose]());

async function residentMiB(): Promise<readonly number[]> {
	const pids = await Promise.all([servers.stack.pidOf("gateway"), servers.stack.pidOf("worker")]);
	return pids.map((pid) => Math.round(residentBytesOf(pid) / MIB));
}

describe.each(["durable", "fast"] as const)("a %s Redis that is", (role) => {
	it.each(AWAY.flatMap((seconds) => [away(seconds * 1000), silent(seconds * 1000)]))(
		"$name: everything is refused or answered meanwhile, nothing accepted is lost, nothing runs twice, no process grows, and both lanes succeed within 5 s of its return",
		async (fault) => {
			const before = await residentMiB();
			const { history, backMs } = await servers.through(role, fault);
			const after = await residentMiB();
			const grown = after.map((mib, at) => mib - (before[at] ?? 0));
			process.stdout.write(
				`${role} ${fault.name}: back after ${Math.round(backMs)} ms; ${history.asked.length} asked, ${history.records.length} on record; gateway, worker grown by ${grown.join(", ")} MiB\n`,
			);
			expect(history.records.length).toBeGreaterThan(0);
			expect(backMs).toBeLessThan(BACK_MS);
			expect(Math.max(...grown)).toBeLessThan(GROWN_MIB);
		},
		10 * 60_000,
	);
});
