import fc from "fast-check";
import type { ProcessName } from "../../harness/stack.js";
import { DEEDS, type Deed, type Lane } from "./history.js";

/** One step of a history. */
export type Operation =
	/** Several invocations of one kind at once, which nobody awaits before going on a moment later. */
	| { readonly kind: "invoke"; readonly lane: Lane; readonly deed: Deed; readonly count: number; readonly thenMs: number }
	/** A new version goes live. */
	| { readonly kind: "deploy" }
	/** kill -9. `patient`: nothing is asked before it is back. */
	| { readonly kind: "kill"; readonly process: ProcessName; readonly patient: boolean }
	/** One in the background that sleeps, which is cancelled a moment later: it waits then, or runs. */
	| { readonly kind: "cancel"; readonly afterMs: number }
	/** One in the background, which is replayed as soon as it is settled. */
	| { readonly kind: "replay"; readonly deed: Deed }
	/** A caller of an interactive one that sleeps goes away. */
	| { readonly kind: "leave" }
	/** Something is done to what the stack stands on, while what comes next is asked for. */
	| { readonly kind: "beside"; readonly work: () => Promise<void> };

const invoke = fc.record({
	kind: fc.constant("invoke" as const),
	lane: fc.constantFrom<Lane>("interactive", "background", "background"),
	deed: fc.constantFrom<Deed>(...DEEDS),
	count: fc.integer({ min: 1, max: 6 }),
	thenMs: fc.integer({ min: 0, max: 250 }),
});

/** Histories of so many steps, most of them invocations. @param deaths what is killed in each, somewhere: each costs seconds */
export function histories(steps: number, deaths: readonly ProcessName[]): fc.Arbitrary<readonly Operation[]> {
	const step: fc.Arbitrary<Operation> = fc.oneof(
		{ weight: 12, arbitrary: invoke },
		{ weight: 2, arbitrary: fc.constant({ kind: "leave" as const }) },
		{ weight: 2, arbitrary: fc.record({ kind: fc.constant("cancel" as const), afterMs: fc.integer({ min: 0, max: 200 }) }) },
		{ weight: 1, arbitrary: fc.record({ kind: fc.constant("replay" as const), deed: fc.constantFrom<Deed>("succeed", "fail-once") }) },
		{ weight: 1, arbitrary: fc.constant({ kind: "deploy" as const }) },
	);
	const kills = fc.tuple(...deaths.map((process) => fc.tuple(fc.integer({ min: 1, max: steps - 1 }), killOf(process))));
	return fc
		.tuple(fc.array(step, { minLength: steps, maxLength: steps }), kills)
		.map(([all, dead]) => all.flatMap((one, n) => [...dead.filter(([at]) => at === n).map(([, kill]) => kill), one]));
}

function killOf(process: ProcessName): fc.Arbitrary<Operation> {
	return fc.record({ kind: fc.constant("kill" as const), process: fc.constant(process), patient: fc.constantFrom(true, true, false) });
}
