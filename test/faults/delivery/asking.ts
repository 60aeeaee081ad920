import { ApiError, type Client, ConnectionError, CutError, type InvokeOptions, resultOf } from "@berth/client";
import type { Deed, Lane, Recorded, Told } from "./history.js";

/** Problems that say of themselves that nothing was accepted, or that nothing began. */
const NOTHING_BEGAN: ReadonlySet<string> = new Set(["unavailable", "too_busy", "node_full", "expired_in_queue", "storage_full"]);

/** What a function is told to do. */
export interface Task {
	readonly token: string;
	readonly deed: Deed;
	/** How long it sleeps, where it does. */
	readonly ms: number;
}

/** What tells a schedule's firing from everything else. */
export const firingToken = (schedule: string, dueAt: string) => `${schedule} ${dueAt}`;

/**
 * Writes down that it began and that it ended, and does in between what its payload says; reads what was written where it is asked to.
 * @param machine a file that says which machine it runs on, where there are several
 */
export const sourceOf = (journal: string, version: number, machine?: string) => `import { appendFileSync, readFileSync } from "node:fs";
export const version = ${version};
const JOURNAL = ${JSON.stringify(journal)};
let machine;
export default async ({ token: given, deed, ms, read }, { invocationId: id, attempt, schedule }) => {
	if (read !== undefined) return readFileSync(JOURNAL, "utf8").slice(read);
	const token = schedule === undefined ? given : schedule.name + " " + schedule.dueAt;
	machine ??= ${machine === undefined ? "undefined" : `readFileSync(${JSON.stringify(machine)}, "utf8")`};
	const write = (what) => appendFileSync(JOURNAL, JSON.stringify({ what, token, id, attempt, atMs: Date.now(), machine }) + "\\n");
	write("began");
	if (deed === "sleep") await new Promise((resolve) => setTimeout(resolve, ms));
	const does = deed.endsWith("-once") ? (attempt === 1 ? deed.slice(0, -5) : "succeed") : deed;
	if (does === "crash") process.exit(1);
	if (does === "fail") throw new Error("as it was told");
	write("ended");
	return { token, attempt };
};
`;

/** Asks for one invocation, and gives what its client is told. */
export async function told(client: Client, name: string, lane: Lane, json: Task, options: InvokeOptions = {}): Promise<Told> {
	try {
		if (lane === "background") return { kind: "accepted", id: (await client.invokeAsync(name, { json }, options)).id };
		const answer = await client.invoke(name, { json }, options);
		const { id, outcome } = answer;
		if (answer.outcome === "succeeded") return { kind: "answered", id, outcome, result: resultOf(answer) };
		return { kind: "answered", id, outcome, ...(answer.problem === undefined ? {} : { code: answer.problem.code }) };
	} catch (error) {
		if (error instanceof ApiError) {
			const { code } = error.problem;
			return { kind: NOTHING_BEGAN.has(code) ? "refused" : "nothing", code };
		}
		if (error instanceof ConnectionError || error instanceof CutError || options.signal?.aborted === true) return { kind: "nothing" };
		throw error;
	}
}

/** A record, as the API gives it; undefined where there is none. */
export async function recordOf(client: Client, id: string): Promise<Recorded | undefined> {
	try {
		const { state, outcome, attempt, code, result } = await client.invocation(id);
		const json = result !== undefined && "json" in result ? result.json : undefined;
		return { id, state, ...optional({ outcome, attempt, code, result: json }) };
	} catch (error) {
		if (error instanceof ApiError && error.problem.code === "invocation_not_found") return undefined;
		throw error;
	}
}

function optional<T extends object>(fields: T): { [Name in keyof T]?: NonNullable<T[Name]> } {
	return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
		[Name in keyof T]?: NonNullable<T[Name]>;
	};
}
