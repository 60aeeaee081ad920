import { resultOf } from "@berth/client";
import { expect } from "vitest";
import type { Rows } from "../attack.js";

/** So much memory that another limit is met first, also by gVisor's kernel. */
const ROOMY = { memoryMiB: 512 };

export const resources: Rows<"Resources"> = {
	"a loop without an end": {
		heldBy: ["deadline"],
		fixture: "endless-loop.ts",
		isContained: async ({ attack, isGone, servesOn }) => {
			const { answer, record } = await attack({}, { timeoutMs: 300 });
			expect(answer.outcome).toBe("timed_out");
			await isGone(record.sandbox);
			await servesOn();
		},
	},
	"fork bomb": {
		heldBy: ["cgroup pids"],
		fixture: "fork-bomb.py",
		manifest: ROOMY,
		isContained: async ({ attack, column, isGone, servesOn }) => {
			const { answer, record } = await attack();
			expect(record.limitsHit).toContain("pids");
			// gVisor's kernel ends when it gets no more of the host's tasks.
			if (column === "runsc") expect(answer.outcome).toBe("crashed");
			else expect(resultOf(answer)).toEqual({ refused: "EAGAIN", forked: expect.toSatisfy((forked: number) => forked < 64) });
			await isGone(record.sandbox);
			await servesOn();
		},
	},
};
