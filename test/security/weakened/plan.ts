import { COLUMN_FILES, type NamedTest, type Protection } from "../matrix/attack.js";
import { MATRIX, type Row } from "../matrix/attacks.js";
import type { Edit, Weakening } from "./weakening.js";
import { WEAKENINGS } from "./weakenings.js";

/** A row, with the tests that try it. */
export interface Aim {
	readonly row: string;
	readonly tests: readonly NamedTest[];
	/** What holds it still. */
	readonly heldBy: readonly Protection[];
}

/** One copy of the project, without one protection, or without all of those of which each would do alone. */
export interface Trial {
	readonly name: string;
	readonly protections: readonly Protection[];
	readonly takes: string;
	readonly edits: readonly Edit[];
	/** Whether a test that waits in vain for an attack's end has failed as it should. */
	readonly neverEnds: boolean;
	/** Rows that are to fail. */
	readonly falls: readonly Aim[];
	/** Rows that something else holds as well: they are to pass. */
	readonly stands: readonly Aim[];
	/** Rows that none of this holds: they are to pass, or the copy does nothing any more. None where units alone are tried: then other tests of theirs. */
	readonly controls: readonly Aim[];
}

/** Quick ones that have harmless invocations answered, the first of them in functions of their own. */
const CONTROLS = ["a stream without an end", "mutated globals", "a response over the cap", "a promise that never settles"];
const SOME = 2;

/** @returns one for each protection, and for each set of which any one would do, but for what isn't taken away */
export function planOf(rows: readonly Row[] = MATRIX): readonly Trial[] {
	const single = (Object.keys(WEAKENINGS) as Protection[]).map((one) => [one]);
	const together = rows.flatMap(({ attack }) => (attack?.heldBy ?? []).filter((one) => typeof one !== "string"));
	const sets = new Map([...single, ...together].map((set) => [set.toSorted().join(), set]));
	return [...sets.values()].flatMap((set) => trialOf(set, rows) ?? []);
}

function trialOf(set: readonly Protection[], rows: readonly Row[]): Trial | undefined {
	const weakenings = set.map((one) => WEAKENINGS[one]).filter((one): one is Weakening => "edits" in one);
	if (weakenings.length < set.length) return undefined;
	const [falls, stands, others]: [Aim[], Aim[], Aim[]] = [[], [], []];
	for (const row of rows) {
		const entries = (row.attack?.heldBy ?? []).map((one) => (typeof one === "string" ? [one] : one));
		const touched = entries.filter((one) => one.some((each) => set.includes(each)));
		// What falls with a part of a set is tried with that part.
		const isOpen = touched.some((one) => one.length === set.length && one.every((each) => set.includes(each)));
		const heldBy = touched.flat().filter((each) => !set.includes(each));
		if (isOpen) falls.push(aimOf(row, []));
		else if (touched.length === 0) others.push(aimOf(row, []));
		else if (set.length === 1) stands.push(aimOf(row, heldBy));
	}
	const isUnits = [...falls, ...stands].every(({ tests }) => tests.every(isUnit));
	return {
		name: set.join(" + "),
		protections: set,
		takes: weakenings.map(({ takes }) => takes).join("; and "),
		edits: weakenings.flatMap(({ edits }) => edits),
		neverEnds: weakenings.some(({ neverEnds }) => neverEnds === true),
		falls,
		stands,
		controls: isUnits ? [] : others.filter(({ row }) => CONTROLS.includes(row)).slice(0, SOME),
	};
}

/** Of what is over before a sandbox is asked for the tests without a whole system, if there are any: they are quicker, and one that fails is enough. */
function aimOf({ name, attack }: Row, heldBy: readonly Protection[]): Aim {
	if (attack === undefined || !("tests" in attack)) return { row: name, tests: [{ file: COLUMN_FILES["oci/crun"], title: name }], heldBy };
	const units =
		attack.because === "before any sandbox" || attack.because === "the way out is the worker's" ? attack.tests.filter(isUnit) : [];
	return { row: name, tests: units.length > 0 ? units : attack.tests, heldBy };
}

function isUnit({ file }: NamedTest): boolean {
	return file.startsWith("packages/");
}
