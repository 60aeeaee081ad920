const MARK = { failed: "fell", passed: "stood", broken: "broke", "not run": "wasn't tried" };

/** What there is to read of one trial. */
export function linesOf({ name, takes, isAsItShould, falls, stands, controls, seconds }) {
	const wrong = [...falls, ...stands, ...controls].filter(({ isWanted }) => !isWanted);
	const head = `${isAsItShould ? "ok   " : "WRONG"} ${name}: without ${takes} (${seconds} s)`;
	const counts = `      ${falls.filter(({ isWanted }) => isWanted).length} of ${falls.length} rows fell, ${stands.filter(({ isWanted }) => isWanted).length} of ${stands.length} stood by what else holds them, ${controls.filter(({ isWanted }) => isWanted).length} of ${controls.length} that it doesn't hold passed`;
	return [
		head,
		counts,
		...wrong.map(({ row, how, why }) => `      ${row} ${MARK[how]}${why === "" ? "" : `: ${why.split("\n")[0]}`}`),
	].join("\n");
}

const cell = (text) => text.replaceAll("|", "\\|").replaceAll("\n", " ");

/**
 * docs/weakened.md.
 * @param {readonly object[]} outcomes of trials, in their order; a trial itself that hasn't been run
 * @param {readonly (readonly [protection: string, reason: string])[]} kept what isn't taken away, and why
 */
export function pageOf(outcomes, kept) {
	const lines = outcomes.map(({ name, takes, falls, stands, seconds = "–", at = "not yet" }) => {
		const stood = stands.map(({ row, heldBy }) => `${row} (${heldBy.join(", ")})`);
		const cells = [name, takes, falls.map(({ row }) => row).join(" · "), stood.join(" · "), String(seconds), at.slice(0, 10)];
		return `| ${cells.map(cell).join(" | ")} |`;
	});
	return `# What each protection holds

\`npm run test:weakened\` takes each protection away in turn, in a copy of the project, and tries the [attacks](attacks.md) that it holds, there, on \`oci\` with crun: each has to get through, by what its test asserts,
while attacks that something else holds, and others beside them, are contained as ever. Nothing in Berth switches a protection off: what is changed in the copy's source stands in \`test/security/weakened/weakenings\`, and a test holds it against the source.
An attack that any one of several protections would hold gets through when all of them are gone ("+"). This page is written by that run: \`npm run test:weakened -- --write\`.

| protection | without | attacks that get through | attacks that are contained still, by | seconds | run |
| --- | --- | --- | --- | --- | --- |
${lines.join("\n")}

## What isn't taken away

| protection | because |
| --- | --- |
${kept.map((pair) => `| ${pair.map(cell).join(" | ")} |`).join("\n")}
`;
}
