import { EGRESS_LIMITS } from "@berth/contracts";

/** What a sandbox asked of the world outside in vain during an attempt, or while its function was loaded for it. */
export class EgressRefusals {
	readonly #say: (line: string) => void;
	#said = new Set<string>();
	#wasRefused = false;
	#hasBegun = false;

	/** @param say puts a line into the function's log */
	constructor(say: (line: string) => void) {
		this.#say = say;
	}

	/** It isn't permitted. @param target a host, or an address and a port: nothing that a line could break on */
	refused(target: string, why: string): void {
		this.#wasRefused = true;
		this.#tell(target, `was refused: ${why}`);
	}

	/** It is permitted, and can't be had. */
	failed(target: string, why: string): void {
		this.#tell(target, `can't be reached: ${why}`);
	}

	/** An attempt begins. What was refused since the last one is none of its; what its function was refused when it was loaded is the first one's. */
	begin(): void {
		if (this.#hasBegun) this.#clear();
		this.#hasBegun = true;
	}

	/** The attempt is over. @returns whether anything was refused in it */
	end(): boolean {
		const wasRefused = this.#wasRefused;
		this.#clear();
		return wasRefused;
	}

	#clear(): void {
		this.#wasRefused = false;
		if (this.#said.size > 0) this.#said = new Set();
	}

	/** Each once, up to a number. */
	#tell(target: string, what: string): void {
		const { size } = this.#said;
		const line = `berth: ${target} ${what}`;
		if (size > EGRESS_LIMITS.lines || this.#said.has(line)) return;
		this.#said.add(line);
		this.#say(size < EGRESS_LIMITS.lines ? line : "berth: it was so with more hosts");
	}
}
