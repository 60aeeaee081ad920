import type { IdleSandboxes } from "./idle-sandboxes.js";
import type { Population } from "./population.js";
import type { Room } from "./room.js";
import type { Sandbox } from "./sandbox.js";
import { type Specialisation, sameSecrets } from "./version-target.js";

/** What idle sandboxes are taken from, and what becomes of those that won't do. */
export interface AwakeOptions {
	readonly idle: IdleSandboxes;
	readonly population: Population;
	readonly room: Room;
	/** Told of a sandbox that couldn't be thawed. */
	readonly onTrouble: (sandbox: Sandbox, error: Error) => void;
}

/** An idle sandbox of the version with the secrets of now, awake. A frozen one counts with what it has; to run it needs its whole limit. */
export function takeAwake(target: Specialisation, { idle, population, room, onTrouble }: AwakeOptions): Sandbox | undefined {
	const { key } = target;
	for (let sandbox = idle.take(key); sandbox !== undefined; sandbox = idle.take(key)) {
		if (sandbox.hasLateStrays() || !sameSecrets(sandbox.specialisation, target)) {
			population.retire(sandbox);
			continue;
		}
		if (!room.make(sandbox.limits.memoryBytes, sandbox.id)) {
			idle.add(sandbox);
			return undefined;
		}
		try {
			if (sandbox.state === "frozen") sandbox.thaw();
			return sandbox;
		} catch (error) {
			onTrouble(sandbox, error as Error);
		}
	}
	return undefined;
}
