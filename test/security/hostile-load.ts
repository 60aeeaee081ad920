import type { Outcome } from "@berth/contracts";
import { expect } from "vitest";
import type { Stack } from "../harness/stack.js";
import { Arena } from "./matrix/arena.js";
import type { Attacker, Tried } from "./matrix/attack.js";

/** A way to end a sandbox, or to leave something running, open, full or half said in it; and how such an invocation ends. */
interface Kind {
	/** The first is what it is there for, and seen at least once; the others are what it may be for one that comes after others in a sandbox. */
	readonly ends: readonly [Outcome, ...Outcome[]];
	readonly timeoutMs?: number;
	/** Whoever comes after it in its sandbox could open nothing more. */
	readonly own?: "function";
}

/** Of those that go on until their deadline. */
const SHORT_MS = 300;
const KINDS: Readonly<Record<string, Kind>> = {
	"exits.ts": { ends: ["crashed"] },
	"heap-bomb.ts": { ends: ["out_of_memory", "crashed"] },
	"endless-loop.ts": { ends: ["timed_out"], timeoutMs: SHORT_MS },
	"works-on.ts": { ends: ["succeeded"] },
	"throws-late.ts": { ends: ["succeeded"] },
	"memory-bomb.py": { ends: ["out_of_memory"] },
	"fork-bomb.py": { ends: ["succeeded", "out_of_memory"] },
	"daemon.py": { ends: ["succeeded"] },
	"thread-bomb.py": { ends: ["succeeded"] },
	"inode-bomb.py": { ends: ["succeeded"] },
	"tmpfs-bomb.py": { ends: ["succeeded"] },
	"descriptor-bomb.py": { ends: ["succeeded"], own: "function" },
	"segfault.py": { ends: ["succeeded"] },
	"kills-itself.py": { ends: ["crashed"] },
	"kills-everybody.py": { ends: ["crashed"] },
	"truncated-frame.py": { ends: ["timed_out"], timeoutMs: SHORT_MS },
	"four-gibibytes.py": { ends: ["crashed"] },
	"half-close.py": { ends: ["crashed"] },
	"guessed-id.py": { ends: ["crashed"] },
	"frame-on-stdout.py": { ends: ["succeeded"] },
	// The next ones throw where /tmp is full, or the name is taken.
	"marker-in-tmp.py": { ends: ["succeeded", "handler_error"] },
	"abstract-socket.py": { ends: ["succeeded", "handler_error"] },
};
const AT_ONCE = 4;

/** How often each kind ended how. */
type Ends = Readonly<Record<string, Readonly<Partial<Record<Outcome, number>>>>>;

/** Functions that attack again and again. */
export class HostileLoad {
	/** As many as make each kind once. */
	static readonly ROUND = Object.keys(KINDS).length;
	readonly #attackers: readonly (readonly [fixture: string, Attacker])[];
	/** Of an invocation of a neighbour's that is over: what forged frames answer. */
	readonly #id: string;

	private constructor(attackers: readonly (readonly [string, Attacker])[], id: string) {
		this.#attackers = attackers;
		this.#id = id;
	}

	static async deploy(stack: Stack): Promise<HostileLoad> {
		const arena = new Arena(stack, "oci/crun");
		const attackers: [string, Attacker][] = [];
		for (const [fixture, { own, timeoutMs }] of Object.entries(KINDS)) {
			const tried: Tried = { fixture, heldBy: [], ...(own && { own }), ...(timeoutMs && { manifest: { timeoutMs } }) };
			attackers.push([fixture, await arena.attacker(fixture, tried)]);
		}
		const [, first] = attackers[0] as [string, Attacker];
		return new HostileLoad(attackers, (await (await first.neighbour()).invoke()).id);
	}

	/** Each attack in its turn, some at a time. @throws Error when a kind ended otherwise than it does, or never as it is there for */
	async run(count: number): Promise<void> {
		const ends: Record<string, Partial<Record<Outcome, number>>> = {};
		let begun = 0;
		const lane = async () => {
			while (begun < count) {
				const [fixture, attacker] = this.#attackers[begun++ % this.#attackers.length] as [string, Attacker];
				const { outcome } = (await attacker.attack({ id: this.#id })).answer;
				ends[fixture] = { ...ends[fixture], [outcome]: (ends[fixture]?.[outcome] ?? 0) + 1 };
			}
		};
		await Promise.all(Array.from({ length: AT_ONCE }, lane));
		expectAsMeant(ends);
	}
}

function expectAsMeant(ends: Ends): void {
	const otherwise = Object.entries(KINDS).filter(([fixture, { ends: meant }]) => {
		const seen = Object.keys(ends[fixture] ?? {});
		return !seen.includes(meant[0]) || seen.some((one) => !(meant as readonly string[]).includes(one));
	});
	expect(Object.fromEntries(otherwise.map(([fixture]) => [fixture, ends[fixture]]))).toEqual({});
}
