import { X509Certificate } from "node:crypto";
import { createClient } from "@berth/client";
import { readTls, type Settings } from "@berth/config";
import { SECOND_MS } from "@berth/contracts";
import { isRunning } from "../supervisor/process-identity.js";
import { readSupervisorState, type SupervisorState } from "../supervisor/state-file.js";
import { messageOf } from "../system-errors.js";
import { ownTrust, type TlsTrust } from "../tls-trust.js";
import { type Check, failed, ok, warning } from "./check.js";
import { mendOfUnready } from "./mends.js";
import { checkNode } from "./node-lease.js";
import { servedCertificate, wordsFor } from "./served-certificate.js";

const ANSWER_MS = 3 * SECOND_MS;

/** The stack of a data directory as it is now. */
export interface StackFound {
	readonly isUp: boolean;
	readonly checks: readonly Check[];
}

/** Whether a stack is up, and takes invocations. That none is up is no fault. */
export async function checkStack(settings: Settings): Promise<StackFound> {
	const state = await readSupervisorState(settings.paths);
	if (state === undefined) return { isUp: false, checks: [ok("stack", "None is up in this data directory.")] };
	if (!(await isRunning(state.supervisor))) {
		const found = `Its supervisor (${state.supervisor.pid}) was killed; what it left may still run.`;
		return { isUp: false, checks: [warning("stack", found, "`berth down` or `berth up` clears it away.")] };
	}
	const checks = await readiness(state, settings);
	// Whoever isn't root can't ask a Redis of the stack's own.
	const asks = settings.roles.includes("worker") && state.phase === "ready" && (process.geteuid?.() === 0 || !settings.embedded.fast);
	return { isUp: true, checks: [...checks, ...(asks ? [await checkNode(settings)] : [])] };
}

async function readiness(state: SupervisorState, settings: Settings): Promise<readonly Check[]> {
	const { phase, url, supervisor, certificate, certificateKey, startedWith } = state;
	if (url === undefined && phase === "ready") return [ok("stack", `It is ready, and no gateway (supervisor ${supervisor.pid}).`)];
	if (url === undefined)
		return [
			warning(
				"stack",
				`It is ${phase} (supervisor ${supervisor.pid}).`,
				"Wait a moment, or read logs/supervisor.log in the data directory.",
			),
		];
	if (certificate === undefined) return [await answerOf({ url }, settings)];
	const { tls, fault } = await ownTrust(certificate, startedWith);
	const served = await servedCertificate(url, ANSWER_MS);
	const isKnown = served === undefined || isSame(served, tls.ca);
	// A certificate that isn't known is taken as it comes: the gateway is asked without a key.
	const answer = await answerOf({ url, tls: isKnown ? tls : { ca: served.toString(), isOwn: true } }, settings);
	if (fault !== undefined) {
		const more = isKnown ? "" : ` The gateway serves ${wordsFor(served)}.`;
		return [answer, warning("certificate", `${fault.found}${more}`, fault.mend)];
	}
	if (isKnown) return [answer];
	const isFirst = startedWith !== undefined && isSame(served, startedWith);
	return [answer, untaken(isFirst ? "the certificate that it was started with" : wordsFor(served), certificate, certificateKey)];
}

/** A certificate that is good by itself, and that the gateway doesn't serve: it goes on with the one that it had. */
function untaken(served: string, certificate: string, key = certificate): Check {
	const found = `The gateway serves ${served}, and not what is in ${certificate}`;
	try {
		readTls({ certificate, key });
	} catch (error) {
		const mend = "Put a certificate and its own key there: they are taken within seconds.";
		return warning("certificate", `${found}: ${messageOf(error)}.`, mend);
	}
	return warning(
		"certificate",
		`${found}: the user of the service can't read it, or not its key ${key}, or both came a moment ago.`,
		"Let that user read them and start the stack again; the log of the gateway says what is wrong.",
	);
}

function isSame(one: X509Certificate, other: string): boolean {
	return one.raw.equals(new X509Certificate(other).raw);
}

async function answerOf(gateway: { readonly url: string; readonly tls?: TlsTrust }, settings: Settings): Promise<Check> {
	await using client = createClient(gateway);
	try {
		const { ready, detail } = await client.ready({ signal: AbortSignal.timeout(ANSWER_MS) });
		return ready
			? ok("stack", `It is up at ${gateway.url} and takes invocations.`)
			: failed("stack", `It is up at ${gateway.url}, but not ready: ${detail}.`, await mendOfUnready(detail ?? "", settings));
	} catch (error) {
		return failed("stack", `The gateway doesn't answer: ${messageOf(error)}.`, await mendOfUnready("", settings));
	}
}
