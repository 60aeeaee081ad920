import { InvalidArgumentError } from "commander";

const MEMORY = /^(\d+(?:\.\d+)?)\s*(m|mb|mib|g|gb|gib)?$/i;
const CPU = /^(\d+(?:\.\d+)?)(m)?$/;
const MIB_PER_GIB = 1024;
const MILLI_PER_CORE = 1000;

/** Memory as people write it (`256`, `256MiB`, `1GiB`; powers of two, MiB without a unit) in whole MiB. */
export function parseMemoryMiB(text: string): number {
	const match = MEMORY.exec(text.trim());
	if (match === null) throw new InvalidArgumentError("A size is a number of MiB, or has a unit: 256, 256MiB, 1GiB.");
	const mib = Number(match[1]) * (match[2]?.toLowerCase().startsWith("g") ? MIB_PER_GIB : 1);
	if (!Number.isInteger(mib)) throw new InvalidArgumentError(`${text} isn't a whole number of MiB.`);
	return mib;
}

/** CPU as people write it (`1`, `0.5`, `500m`) in thousandths of a core. */
export function parseCpuMilli(text: string): number {
	const match = CPU.exec(text.trim());
	if (match === null) throw new InvalidArgumentError("CPU is a number of cores, or of thousandths with an m: 1, 0.5, 500m.");
	const milli = match[2] === undefined ? Math.round(Number(match[1]) * MILLI_PER_CORE) : Number(match[1]);
	if (!Number.isInteger(milli)) throw new InvalidArgumentError(`${text} is finer than a thousandth of a core.`);
	return milli;
}

/** A whole number from `min` on, to `max` if there is one. */
export function parseCount(min: number, max = Number.POSITIVE_INFINITY): (text: string) => number {
	return (text) => {
		const count = Number(text);
		if (!/^\d+$/.test(text) || count < min || count > max)
			throw new InvalidArgumentError(`A whole number from ${min} ${Number.isFinite(max) ? `to ${max}` : "on"}.`);
		return count;
	};
}
