import { setTimeout } from "node:timers/promises";
import { resultOf } from "@berth/client";
import { expect } from "vitest";
import { cpuTicksOf } from "../../../harness/cgroups.js";
import { eventually } from "../../../harness/eventually.js";
import type { Attacker, Rows } from "../attack.js";
import { isTimedOut } from "./resources.js";

/** Long enough for a sandbox that isn't frozen to print much, milliseconds. */
const RESTS_MS = 2000;

export const lifecycle: Rows<"Lifecycle"> = {
	"ignoring SIGTERM": { heldBy: ["deadline"], fixture: "ignores-sigterm.py", isContained: isTimedOut },
	"a daemon, forked twice": {
		heldBy: ["strays retire a sandbox"],
		fixture: "daemon.py",
		own: "function",
		manifest: { concurrency: 1 },
		isContained: async ({ attack, column, isGone, report }) => {
			const first = (await attack()).record;
			expect(first.outcome).toBe("succeeded");
			if (column === "runsc") await eventually(async () => expect((await attack({ look: true })).record.sandbox).not.toBe(first.sandbox));
			expect(await report({ look: true })).toBeLessThanOrEqual(2);
			await isGone(first.sandbox);
		},
	},
	"computing on after the answer": {
		heldBy: ["freezer"],
		fixture: "works-on.ts",
		own: "function",
		manifest: { concurrency: 1 },
		isContained: async ({ attack, column, stack }) => {
			const { record } = await attack();
			// An Engine that is too busy to pause one has it removed: nothing of it computes on then, either.
			const isThere = async () => column !== "docker" || (await stack.client.sandboxes()).some(({ id }) => id === record.sandbox);
			const used = async () => ((await isThere()) ? cpuTicksOf(stack.dataDir, record.sandbox ?? "") : undefined);
			await eventually(async () => {
				const before = await used();
				// A machine that is busy lets a computing process wait, but not for so long.
				await setTimeout(RESTS_MS / 4);
				expect(await used()).toBe(before);
			});
			const rests = await isThere();
			const next = (await attack({ look: true })).record;
			expect([next.outcome, next.sandbox === record.sandbox]).toEqual(["succeeded", rests]);
		},
	},
	"printing on after the answer": {
		heldBy: ["freezer"],
		fixture: "prints-late.ts",
		own: "function",
		manifest: { concurrency: 1 },
		isContained: async ({ attack, stack }) => {
			const askedAt = performance.now();
			const { record } = await attack();
			await eventually(async () => {
				const one = (await stack.client.sandboxes()).find(({ id }) => id === record.sandbox);
				expect(one?.state).toBe("frozen");
			});
			// A line a millisecond is the most that it can have printed by then, and what it could print meanwhile is twice what it may.
			const most = performance.now() - askedAt + RESTS_MS / 2;
			await setTimeout(RESTS_MS / 2);
			const whileItRested = Date.now();
			await setTimeout(RESTS_MS / 2);
			const next = (await attack({ look: true })).record;
			expect([next.outcome, next.sandbox]).toEqual(["succeeded", record.sandbox]);
			const words = new RegExp(`^late output of ${record.id}: late line (\\d+) at (\\d+)$`);
			const late = next.logs.map(({ text }) => words.exec(text)?.slice(1).map(Number) ?? [Number.NaN, 0]) as [number, number][];
			expect(late[0]?.[0]).toBeLessThan(most);
			// What it printed before it was frozen is nobody's, but for the line that it was about to print then.
			expect(late.filter(([, atMs]) => atMs < whileItRested).length).toBeLessThan(2);
		},
	},
	"answering for whoever comes next": {
		heldBy: ["agent's frames are checked"],
		fixture: "answers-late.py",
		own: "function",
		manifest: { concurrency: 1 },
		isContained: async ({ attack, isGone, neighbour }) => {
			const { id } = await (await neighbour()).invoke();
			const first = await attack({ id });
			// It speaks up before its own answer, before it is frozen, or when it is thawed for the next one, which then ends with it.
			for (const { answer } of [first, await attack({ id, look: true })]) {
				expect(["crashed", "succeeded"]).toContain(answer.outcome);
				expect(answer.raw.body.toString()).not.toContain("forged");
			}
			await isGone(first.record.sandbox);
		},
	},
	"a late unhandled rejection": {
		heldBy: ["errors by invocation"],
		fixture: "rejects-late.ts",
		own: "function",
		manifest: { concurrency: 1 },
		isContained: isChargedToNobody,
	},
	"a late throw": {
		heldBy: ["errors by invocation"],
		fixture: "throws-late.ts",
		own: "function",
		manifest: { concurrency: 1 },
		isContained: isChargedToNobody,
	},
	"a promise that never settles": { heldBy: ["deadline"], fixture: "never-settles.ts", isContained: isTimedOut },
	"a throw at load": {
		heldBy: ["life of a sandbox"],
		fixture: "throws-at-load.ts",
		own: "source",
		isContained: (attacker) => isInitError(attacker),
	},
	"a hang at load": {
		heldBy: ["start budget"],
		fixture: "hangs-at-load.ts",
		own: "source",
		slow: true,
		isContained: (attacker) => isInitError(attacker),
	},
	"mutated globals": {
		heldBy: ["one version to a sandbox"],
		fixture: "mutates-globals.ts",
		own: "source",
		isContained: async ({ mark, attack, report, other, nextVersion }) => {
			expect(await report()).toEqual({ mark: null, at: 7 });
			// A sandbox that rests goes when others want its room: the one after it is as new as the first.
			await eventually(async () => {
				const [before, after] = [await attack(), await attack()];
				expect(after.record.sandbox).toBe(before.record.sandbox);
				expect(resultOf(after.answer)).toEqual({ mark, at: "stolen" });
			});
			expect(await (await other()).report()).toEqual({ mark: null, at: 7 });
			await nextVersion();
			expect(await report()).toEqual({ mark: null, at: 7 });
		},
	},
};

/** Which of the two hears of it, the one that is charged with it or none at all, is the platform's; the next one isn't. */
async function isChargedToNobody({ attack }: Attacker): Promise<void> {
	await attack();
	const { record } = await attack({ look: true });
	expect([record.outcome, record.error]).toEqual(["succeeded", undefined]);
}

/** It is over with its only start: nobody tries on. */
async function isInitError({ attack, deployed, isGone, stack }: Attacker): Promise<void> {
	const { answer, record } = await attack();
	expect([answer.outcome, record.attempt]).toEqual(["init_error", 1]);
	// With a Docker Engine it is over before there is a sandbox that could have an attempt.
	if (record.sandbox !== undefined) await isGone(record.sandbox);
	await eventually(async () => {
		expect((await stack.client.sandboxes()).filter((one) => one.function === deployed.name)).toEqual([]);
	});
}
