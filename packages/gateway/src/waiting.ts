import { type InvocationRecord, SECOND_MS, type Version } from "@berth/contracts";
import { type HeldUp, type KnownCrashLoop, sharedNow } from "@berth/queue";
import { lackOf } from "./placement.js";
import type { Services } from "./services.js";

type Looked = Pick<Services, "functions" | "nodes" | "invocations" | "crashLoops">;
type Of = Pick<InvocationRecord, "project" | "function" | "version">;

/** Why each of these waits in the background. Each function and version is looked at once. */
export async function waitsForEach(records: readonly InvocationRecord[], services: Looked): Promise<readonly (string | undefined)[]> {
	const byVersion = new Map<string, Promise<string | undefined>>();
	return await Promise.all(
		records.map(async (record) => {
			if (record.state !== "queued" || record.lane !== "background") return undefined;
			const { runAtMs = 0 } = record;
			if (runAtMs > sharedNow()) return `not before ${new Date(runAtMs).toISOString()}`;
			const key = `${record.project}/${record.function}:${record.version}`;
			const looked = byVersion.get(key) ?? whyNot(record, services);
			byVersion.set(key, looked);
			return joined(nextAttempt(record), await looked);
		}),
	);
}

/** Why nothing of a version is begun in the background. */
async function whyNot(of: Of, services: Looked): Promise<string | undefined> {
	const { functions, invocations } = services;
	const [version, heldUp] = await Promise.all([functions.getVersion(of.project, of.function, of.version), invocations.heldUp(of)]);
	// Without its version it ends when its turn comes.
	if (version === undefined) return undefined;
	return heldUp.paused ? "its function is paused: it waits until that is resumed" : await hindranceOf(version, heldUp, services);
}

/** The same of a function whose bounds are known, and which isn't paused. */
export async function hindranceOf(
	version: Version,
	heldUp: Omit<HeldUp, "paused">,
	{ nodes, crashLoops }: Looked,
): Promise<string | undefined> {
	const lack = lackOf(nodes, version.manifest);
	if (lack !== undefined) return lack;
	const { project, function: name, number } = version;
	const loop = await crashLoops.find({ project, function: name, version: number });
	if (loop !== undefined) return `${failingText(number, loop)}; that costs no attempt`;
	const { concurrency, rate } = heldUp;
	if (concurrency !== undefined) return `its function's background.concurrency of ${concurrency} is full: it waits for the end of a run`;
	if (rate === undefined) return undefined;
	return `its function's background.rate of ${rate.limit} is used up: the next may begin at ${isoIn(rate.freeInMs)}`;
}

/** That a version is backed off, why, and until when. */
export function failingText(number: number, { crashes, outcome, error, invocation, retryAfterMs, node }: KnownCrashLoop): string {
	const last = invocation === "" ? outcome : `${outcome}, at ${invocation}`;
	const next = retryAfterMs > 0 ? `is tried again at ${isoIn(retryAfterMs)}, not before` : "is tried again now, one at a time";
	return `v${number} has crashed ${crashes} times in a row on ${node} (function_failing; ${last}: ${error}), and ${next}`;
}

/** Of one whose last attempt failed: until when it is left alone. */
function nextAttempt({ background }: InvocationRecord): string | undefined {
	const { attempt = 0, nextAtMs = 0 } = background ?? {};
	return nextAtMs > sharedNow() ? `attempt ${attempt + 1} not before ${new Date(nextAtMs).toISOString()}` : undefined;
}

function joined(next: string | undefined, hindrance: string | undefined): string | undefined {
	return next === undefined || hindrance === undefined ? (next ?? hindrance) : `${next}; ${hindrance}`;
}

/** To the second, so that it reads the same whenever it is said. */
function isoIn(ms: number): string {
	return new Date(Math.ceil((sharedNow() + ms) / SECOND_MS) * SECOND_MS).toISOString();
}
