import type { Stack } from "../harness/stack.js";
import { Arena } from "./matrix/arena.js";
import type { Attacker, Tried } from "./matrix/attack.js";

/** Whoever comes after it in its sandbox could open nothing more. */
const KEEPS_TO_ITSELF = new Set(["descriptor-bomb.py"]);
/** What leaves something behind if anything does: how a sandbox ends, and what it leaves running, open, full or half said. */
const KINDS: readonly Tried[] = [
	"exits.ts",
	"heap-bomb.ts",
	"endless-loop.ts",
	"works-on.ts",
	"throws-late.ts",
	"memory-bomb.py",
	"fork-bomb.py",
	"daemon.py",
	"thread-bomb.py",
	"inode-bomb.py",
	"tmpfs-bomb.py",
	"descriptor-bomb.py",
	"segfault.py",
	"kills-itself.py",
	"kills-everybody.py",
	"truncated-frame.py",
	"four-gibibytes.py",
	"half-close.py",
	"guessed-id.py",
	"frame-on-stdout.py",
	"marker-in-tmp.py",
	"abstract-socket.py",
].map((fixture) => ({
	fixture,
	heldBy: [],
	manifest: { timeoutMs: 300 },
	...(KEEPS_TO_ITSELF.has(fixture) ? { own: "function" as const } : {}),
}));
const AT_ONCE = 4;

/** Functions that attack again and again. */
export class HostileLoad {
	readonly #attackers: readonly Attacker[];

	private constructor(attackers: readonly Attacker[]) {
		this.#attackers = attackers;
	}

	static async deploy(stack: Stack): Promise<HostileLoad> {
		const arena = new Arena(stack, "oci/crun");
		const attackers: Attacker[] = [];
		for (const kind of KINDS) attackers.push(await arena.attacker(kind.fixture, kind));
		return new HostileLoad(attackers);
	}

	/** Each attack in its turn, some at a time. @returns how they ended, and how often */
	async run(count: number): Promise<Readonly<Record<string, number>>> {
		const outcomes: Record<string, number> = {};
		let begun = 0;
		const lane = async () => {
			while (begun < count) {
				const attacker = this.#attackers[begun++ % this.#attackers.length] as Attacker;
				const { outcome } = (await attacker.attack()).answer;
				outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
			}
		};
		await Promise.all(Array.from({ length: AT_ONCE }, lane));
		return outcomes;
	}
}
