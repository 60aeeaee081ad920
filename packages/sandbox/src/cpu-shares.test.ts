import fc from "fast-check";
import { expect, onTestFinished, test, vi } from "vitest";
import { CpuShares } from "./cpu-shares.js";

test("projects that compute are equal and weigh no more together than half a process per core, whatever each has; a sandbox no more than that", () => {
	const sandboxes = fc.array(fc.constantFrom("a", "b", "c", "d"), { minLength: 1, maxLength: 200 });
	fc.assert(
		fc.property(sandboxes, fc.integer({ min: 1, max: 64 }), (projects, cores) => {
			const shares = new CpuShares(cores);
			for (const project of projects) shares.add(project, "heavy");
			const heavy = new Set(projects);
			for (const project of heavy) {
				const count = projects.filter((each) => each === project).length;
				expect(shares.heavy(project) * count).toBeCloseTo(Math.min(count, cores / heavy.size) / 2);
			}
			for (const project of projects) shares.remove(project, "heavy");
			expect(shares.heavy("a")).toBe(1 / 2);
		}),
	);
});

test("up to two that use little weigh four processes each; more of them share what these have", () => {
	const shares = new CpuShares(2);
	for (let n = 0; n < 2; n++) shares.add("a", "light");
	expect(shares.light).toBe(4);
	for (let n = 0; n < 62; n++) shares.add("a", "light");
	expect(shares.light * 64).toBe(8);
	for (let n = 0; n < 64; n++) shares.remove("a", "light");
	expect(shares.light).toBe(4);
});

test("the CPU is contended while a project uses much and another one has lately worked and used little, whichever came first", () => {
	vi.useFakeTimers({ toFake: ["performance"] });
	onTestFinished(() => void vi.useRealTimers());
	const shares = new CpuShares(2);
	const seen: boolean[] = [];
	const look = (afterMs = 0) => {
		vi.advanceTimersByTime(afterMs);
		seen.push(shares.contended);
	};
	shares.add("floods", "heavy");
	look();
	shares.add("floods", "light");
	look();
	shares.add("beside", "light");
	shares.remove("beside", "light");
	look();
	look(59_000);
	// It is nobody any more whom that would help.
	look(2000);
	shares.add("beside", "light");
	shares.add("beside", "heavy");
	look();
	shares.remove("beside", "heavy");
	look(1100);
	shares.remove("floods", "heavy");
	look(900);
	look(200);
	expect(seen).toEqual([false, false, true, true, false, false, true, true, false]);
});
