import { COLUMN_FILES, COLUMNS, type Column, type Grant, REASONS, type Reason } from "./attack.js";
import type { Row } from "./attacks.js";

/** What a cell of the matrix has: a test that tries the attack there, or a reason why none does. */
export type Cell = { readonly tests: readonly string[]; readonly titles?: readonly string[] } | { readonly reason: Reason };

/** @returns undefined where there is neither */
export function cellOf({ attack }: Row, column: Column): Cell | undefined {
	if (attack === undefined) return undefined;
	if (!("tests" in attack)) {
		const reason = attack.except?.[column];
		return reason === undefined ? { tests: [COLUMN_FILES[column]] } : { reason };
	}
	if (column !== COLUMNS[0]) return { reason: attack.because };
	return attack.tests.length === 0
		? undefined
		: { tests: attack.tests.map(({ file }) => file), titles: attack.tests.map(({ title }) => title) };
}

const HEAD = `# Attacks

Tenants are hostile, so every attack here is made, through the HTTP API, by a function that does it, and the host is looked at afterwards. Each row is an attack, each column what runs the function: the engine \`oci\` with crun and with runc, the engine \`docker\`,
and the runtime class \`runsc\` (gVisor). ✓ is the file whose test has the row's name, or the one beside it; a number is the reason why there is none. A blank cell fails the suite. What isn't promised stands in [SECURITY.md](SECURITY.md#what-isnt-covered-yet).

This page is made from \`test/security/matrix\`, which holds what is tried (\`attacks/\`, with a fixture each in \`test/fixtures/attacks\`), what must be seen (\`list.ts\`), and what holds it. After a change there: \`npm test -- --project docs -u\`.
`;

const REASON_NAMES = Object.keys(REASONS) as readonly Reason[];

/** docs/attacks.md. */
export function pageOf(rows: readonly Row[]): string {
	const groups = [...new Set(rows.map(({ group }) => group))];
	const parts = groups.map((group) =>
		partOf(
			group,
			rows.filter((row) => row.group === group),
		),
	);
	const reasons = REASON_NAMES.map((name, index) => `${index + 1}. ${REASONS[name]}`).join("\n");
	return `${HEAD}\n${parts.join("\n\n")}\n\n## Reasons\n\n${reasons}\n\n## Granted\n\n${grantedIn(rows)}\n`;
}

function partOf(group: string, rows: readonly Row[]): string {
	const head = `| attack | what must be seen | held by | ${COLUMNS.map((column) => `\`${column}\``).join(" | ")} |\n|${" --- |".repeat(3 + COLUMNS.length)}`;
	const lines = rows.map((row) => {
		const cells = COLUMNS.map((column) => `${shown(cellOf(row, column))}${grantOf(row, column) === undefined ? "" : " [but](#granted)"}`);
		return `| ${[row.name, row.seen, heldBy(row), ...cells].join(" | ")} |`;
	});
	return `## ${group}\n\n${head}\n${lines.join("\n")}`;
}

function grantOf({ attack }: Row, column: Column): Grant | undefined {
	return attack !== undefined && "fixture" in attack ? attack.granted?.[column] : undefined;
}

function grantedIn(rows: readonly Row[]): string {
	const lines = rows.flatMap((row) =>
		COLUMNS.flatMap((column) => {
			const grant = grantOf(row, column);
			return grant === undefined ? [] : [`| ${row.name} | \`${column}\` | ${grant.attempts.join(", ")} | ${grant.because} |`];
		}),
	);
	return `What an attack gets of what it tries. All else that it tries is refused, or its test fails.\n\n| attack | in | what it gets | why that is no way out |\n|${" --- |".repeat(4)}\n${lines.join("\n")}`;
}

/** Of several that would each do alone: "or". */
function heldBy({ attack }: Row): string {
	return (attack?.heldBy ?? []).map((one) => (typeof one === "string" ? one : one.join(" or "))).join(", ");
}

function shown(cell: Cell | undefined): string {
	if (cell === undefined) return "";
	if ("reason" in cell) return String(REASON_NAMES.indexOf(cell.reason) + 1);
	const titles = cell.titles?.map((title) => ` “${title.replaceAll("|", "\\|")}”`) ?? [];
	return cell.tests.map((file, index) => `[✓](../${file})${titles[index] ?? ""}`).join("; ");
}
