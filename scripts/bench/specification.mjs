import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ROOT } from "../setup/places.mjs";
import { floorsOf, rowsOf, tableOf } from "./rows.mjs";

const PAGE = join(ROOT, "SPECIFICATION.md");
/** What stands between these two lines is made. */
const BEGIN = "<!-- bench: made by npm run bench:table -->";
const END = "<!-- /bench -->";
const MIB = 2 ** 20;

/** What stands in the specification for a run: table, floors, machine. Without a run: the targets. */
export function benchPart(results) {
	if (results === undefined) return tableOf(rowsOf());
	const { at, machine, measured } = results;
	const where = `${machine.cores} × ${machine.cpu}, ${Math.round(machine.memoryBytes / MIB / 1024)} GiB, Linux ${machine.kernel}`;
	return `Measured ${at.slice(0, 10)} on ${where}, medians of one run.\n\n${tableOf(rowsOf(measured))}\n\n${floorsOf(measured.floors)}`;
}

/** Puts a run's table into SPECIFICATION.md. @throws Error when the page has no place for it */
export async function writeBenchPart(results) {
	const page = await readFile(PAGE, "utf8");
	const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)];
	if (begin < 0 || end < begin) throw new Error(`${PAGE} has no place for the table: ${BEGIN} … ${END}`);
	await writeFile(PAGE, `${page.slice(0, begin + BEGIN.length)}\n${benchPart(results)}\n${page.slice(end)}`);
}
