/** What differs between engines, as far as their promises go: docs/engines.md has a table of it. */
export interface Traits {
	/** Whether a sandbox that waits becomes any function's; where not, each is booted for its own. */
	readonly firstStart: "prewarmed" | "boot";
	/** What a function's own processes beyond its cap of tasks come to. */
	readonly tooManyTasks: "refused" | "crashed";
	/** Whether it is known how much a function has in /tmp. */
	readonly countsScratch: boolean;
	/** Whether sandboxes can be kept from a CPU. */
	readonly leavesCpu: boolean;
}

const USUAL: Traits = { firstStart: "prewarmed", tooManyTasks: "refused", countsScratch: true, leavesCpu: true };

/** What makes sandboxes, by the name that it has in docs/engines.md. */
export const ENGINES = {
	"oci/crun": USUAL,
	"oci/runc": USUAL,
	docker: { ...USUAL, firstStart: "boot", leavesCpu: false },
	runsc: { firstStart: "boot", tooManyTasks: "crashed", countsScratch: false, leavesCpu: true },
} as const satisfies Readonly<Record<string, Traits>>;

export type EngineName = keyof typeof ENGINES;
