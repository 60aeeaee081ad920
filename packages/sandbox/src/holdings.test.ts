import { expect, test } from "vitest";
import { holdingsOf } from "./holdings.js";
import type { Specialisation } from "./version-target.js";

const sandbox = (state: "busy" | "warm" | "prewarmed" | "retiring", key?: string, idleSinceMs = 0) => ({
	state,
	specialisation: key === undefined ? undefined : ({ key } as Specialisation),
	idleSinceMs,
});

test("versions are named once, those at work first, then the last used; what goes and what nobody's is has no name", () => {
	const all = [
		sandbox("warm", "p/old:1", 10),
		sandbox("warm", "p/new:2", 30),
		sandbox("warm", "p/new:2", 20),
		sandbox("busy", "p/works:1", 5),
		sandbox("retiring", "p/gone:1", 40),
		sandbox("prewarmed"),
	];
	expect(holdingsOf(all)).toEqual({ sandboxes: 6, versions: ["p/works:1", "p/new:2", "p/old:1"] });
});
