import type { HeldBy, NamedTest, Reason, TriedElsewhere } from "./attack.js";

/** An attack that tests elsewhere try, each as `[file, title]`. */
export function named(
	because: Reason,
	heldBy: HeldBy,
	...tests: readonly (readonly [file: NamedTest["file"], title: NamedTest["title"]])[]
): TriedElsewhere {
	return { heldBy, because, tests: tests.map(([file, title]) => ({ file, title })) };
}
