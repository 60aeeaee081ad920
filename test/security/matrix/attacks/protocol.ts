import { resultOf } from "@berth/client";
import { expect } from "vitest";
import { eventually } from "../../../harness/eventually.js";
import { scrape } from "../../../harness/metrics.js";
import type { Attacker, Rows } from "../attack.js";

const MIB = 1024 * 1024;

export const protocol: Rows<"Protocol"> = {
	"an answer on stdout": {
		heldBy: ["output is log alone"],
		fixture: "frame-on-stdout.py",
		isContained: async ({ attack, neighbour }) => {
			const victim = await neighbour();
			const { id } = await victim.invoke();
			const { answer, record } = await attack({ id });
			expect([answer.outcome, resultOf(answer)]).toEqual(["succeeded", "honest"]);
			expect(record.logs.map(({ text }) => text).join("")).toContain("forged");
			expect((await victim.record({ id })).outcome).toBe("succeeded");
		},
	},
	"an answer with a guessed id": { heldBy: ["agent's frames are checked"], fixture: "guessed-id.py", isContained: isDestroyed },
	"a length of 4 GiB": {
		heldBy: ["agent's frames are checked"],
		fixture: "four-gibibytes.py",
		isContained: async (attacker) => {
			const memory = async () => (await scrape(attacker.stack)).sum("berth_worker_process_resident_memory_bytes");
			const before = await memory();
			await isDestroyed(attacker);
			expect((await memory()) - before).toBeLessThan(100 * MIB);
		},
	},
	"a frame that is cut off": {
		heldBy: ["deadline"],
		fixture: "truncated-frame.py",
		isContained: async ({ attack, isGone, servesOn }) => {
			const { answer, record } = await attack({}, { timeoutMs: 1000 });
			expect(answer.outcome).toBe("timed_out");
			await isGone(record.sandbox);
			await servesOn();
		},
	},
	"a socket that is half closed": {
		heldBy: ["agent's frames are checked"],
		fixture: "half-close.py",
		isContained: async ({ attack, isGone, servesOn }) => {
			const { answer, record } = await attack();
			expect(answer.outcome).toBe("crashed");
			await isGone(record.sandbox);
			await servesOn();
		},
	},
};

/** Nobody else's invocation is settled by it, neither one that is over nor one that runs; its sandbox is no more. */
async function isDestroyed({ attack, isGone, neighbour, servesOn }: Attacker): Promise<void> {
	const victim = await neighbour();
	const { id } = await victim.invoke();
	const running = victim.invoke({ ms: 500 });
	const { answer, record } = await attack({ id });
	expect(answer.outcome).toBe("crashed");
	expect(answer.problem?.detail).toContain("ProtocolError");
	expect((await running).raw.body.toString()).toBe("serves");
	expect((await victim.record({ id })).outcome).toBe("succeeded");
	await eventually(() => isGone(record.sandbox));
	await servesOn();
}
