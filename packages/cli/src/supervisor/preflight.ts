import { egressCertificates, readTls, type Settings } from "@berth/config";
import { checkAppArmor } from "../doctor/apparmor.js";
import { checkCgroups } from "../doctor/cgroups.js";
import type { Check } from "../doctor/check.js";
import { checkEngine } from "../doctor/engine.js";
import { seccomp } from "../doctor/kernel.js";
import { runProgram } from "../doctor/program.js";
import { gvisor, runtime } from "../doctor/programs.js";
import { checkRedisServers } from "../doctor/redis-settings.js";
import { isOfWrites } from "../doctor/redis-writes.js";
import { checkBinds } from "../doctor/storage.js";
import { CommandFailure, EXIT } from "../exit-codes.js";
import { messageOf } from "../system-errors.js";
import { tryImageRepository } from "./image-repository.js";
import { requireNone } from "./obstacle.js";
import { placeObstacle } from "./place.js";
import { listenObstacle } from "./port.js";
import { missingKeyObstacle, secretsKeyObstacle } from "./secrets-key.js";
import { readSupervisorState } from "./state-file.js";

/**
 * Refuses a start that can't succeed before anything is made for it. What an earlier supervisor left may hold the port
 * yet: that is asked once it is gone. @param waits told what is waited for @throws CommandFailure
 */
export async function preflight(settings: Settings, say: (text: string) => void, waits = say): Promise<void> {
	requireNone(await placeObstacle(settings));
	requireNone(await secretsKeyObstacle(settings));
	await requireCertificates(settings);
	for (const { status, found, mend } of await checksOf(settings))
		if (status === "failed") throw new CommandFailure(EXIT.failed, `${found} ${mend}`);
	// Those that aren't ours to start.
	for (const check of await checkRedisServers(settings, false)) {
		if (check.status !== "failed") continue;
		const text = `${check.name}: ${check.found} ${check.mend}`;
		if (!isOfWrites(check)) throw new CommandFailure(EXIT.failed, text);
		say(`warning: ${text}`);
	}
	// One of the stack's own is asked once it is up.
	if (!settings.embedded.durable) requireNone(await missingKeyObstacle(settings));
	if (isOpen(settings) && settings.roles.includes("gateway"))
		say(
			`${settings.host} isn't this machine alone, and the gateway speaks plain HTTP there: API keys can be read on the way. Set BERTH_TLS_CERT and BERTH_TLS_KEY, or BERTH_TRUSTED_PROXIES where a proxy in front speaks TLS.`,
		);
	if (settings.quotas.burst !== undefined && settings.quotas.requestsPerSecond === undefined)
		say(
			"warning: BERTH_QUOTA_BURST bounds no project but those with a rate of their own: set BERTH_QUOTA_REQUESTS_PER_SECOND, too, or leave it out.",
		);
	if (settings.roles.includes("worker")) await tryImageRepository(settings, say, waits);
	const isFree = (await readSupervisorState(settings.paths)) === undefined;
	if (isFree && settings.roles.includes("gateway")) requireNone(await listenObstacle(settings.host, settings.port));
}

/** What gateway and worker read when they start, the latter as the service user. @throws CommandFailure naming the setting, the file and what is wrong with it */
async function requireCertificates({ tls, egressCaFile, serviceUid }: Settings): Promise<void> {
	try {
		if (tls !== undefined) readTls(tls);
		if (egressCaFile !== undefined) egressCertificates(egressCaFile);
	} catch (error) {
		throw new CommandFailure(EXIT.failed, `${messageOf(error)}. Mend the file, or let the setting name another.`);
	}
	if (egressCaFile === undefined || process.getuid?.() !== 0) return;
	const as = ["--reuid", String(serviceUid), "--regid", String(serviceUid), "--clear-groups"];
	const { ok } = await runProgram("setpriv", [...as, "--", "test", "-r", egressCaFile]);
	if (ok) return;
	const mend = "let others read it, and search the directories that it is in (chmod o+r, o+x)";
	throw new CommandFailure(EXIT.failed, `BERTH_EGRESS_CA_FILE: the service user (uid ${serviceUid}) can't read ${egressCaFile}: ${mend}`);
}

/** Whether keys may come over a network as they are. */
function isOpen({ host, tls, trustedProxies }: Settings): boolean {
	return tls === undefined && trustedProxies.length === 0 && !/^(?:127\.|::1$|localhost$)/.test(host);
}

/** What is somebody else's to provide: what makes the sandboxes. */
async function checksOf(settings: Settings): Promise<readonly Check[]> {
	if (!settings.roles.includes("worker")) return [];
	const limits =
		settings.engine === "docker" ? [] : [...(await checkCgroups(settings.insecureAllow)), await seccomp(settings.insecureAllow)];
	return await Promise.all([
		...limits,
		...checkBinds(settings),
		...(settings.apparmorProfile === undefined ? [] : [checkAppArmor(settings.apparmorProfile)]),
		...(settings.engine === "docker" ? [checkEngine(settings)] : [runtime(settings.ociRuntime), gvisor(settings.runsc)]),
	]);
}
