import { createClient } from "@berth/client";
import type { Settings } from "@berth/config";
import { SECOND_MS } from "@berth/contracts";
import { isRunning } from "../supervisor/process-identity.js";
import { readSupervisorState, type SupervisorState } from "../supervisor/state-file.js";
import { messageOf } from "../system-errors.js";
import { ownTrust, type TlsTrust } from "../tls-trust.js";
import { type Check, failed, ok, warning } from "./check.js";

const ANSWER_MS = 3 * SECOND_MS;

/** The stack of a data directory as it is now. */
export interface StackFound {
	readonly isUp: boolean;
	readonly checks: readonly Check[];
}

/** Whether a stack is up, and takes invocations. That none is up is no fault. */
export async function checkStack({ paths }: Pick<Settings, "paths">): Promise<StackFound> {
	const state = await readSupervisorState(paths);
	if (state === undefined) return { isUp: false, checks: [ok("stack", "None is up in this data directory.")] };
	if (!(await isRunning(state.supervisor))) {
		const found = `Its supervisor (${state.supervisor.pid}) was killed; what it left may still run.`;
		return { isUp: false, checks: [warning("stack", found, "`berth down` or `berth up` clears it away.")] };
	}
	return { isUp: true, checks: await readiness(state) };
}

async function readiness({ phase, url, supervisor, certificate, startedWith }: SupervisorState): Promise<readonly Check[]> {
	if (url === undefined)
		return [
			warning(
				"stack",
				`It is ${phase} (supervisor ${supervisor.pid}).`,
				"Wait a moment, or read logs/supervisor.log in the data directory.",
			),
		];
	if (certificate === undefined) return [await answerOf({ url })];
	const { tls, fault } = await ownTrust(certificate, startedWith);
	const stack = await answerOf({ url, tls });
	return fault === undefined ? [stack] : [stack, warning("certificate", fault.found, fault.mend)];
}

async function answerOf(gateway: { readonly url: string; readonly tls?: TlsTrust }): Promise<Check> {
	await using client = createClient(gateway);
	const mend = "Read the logs in the data directory, below logs/: the supervisor starts again what ended.";
	try {
		const { ready, detail } = await client.ready({ signal: AbortSignal.timeout(ANSWER_MS) });
		return ready
			? ok("stack", `It is up at ${gateway.url} and takes invocations.`)
			: failed("stack", `It is up at ${gateway.url}, but not ready: ${detail}.`, mend);
	} catch (error) {
		return failed("stack", `The gateway doesn't answer: ${messageOf(error)}.`, mend);
	}
}
