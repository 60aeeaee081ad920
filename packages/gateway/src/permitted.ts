import { isIPv4 } from "node:net";
import {
	allowedHosts,
	allowsEgress,
	BERTHS_VARIABLE,
	BerthError,
	boundSecrets,
	callbackUrlFault,
	corsFault,
	FIXED_LIMITS,
	followTarget,
	isPublicAddress,
	type Manifest,
	namedTwice,
	nearestWord,
	secretVariableFault,
} from "@berth/contracts";
import { cronTimes, type FunctionRegistry, WrongCron } from "@berth/registry";

/** What the operator lets functions have, as the gateway's own settings say. */
export interface Permissions {
	/** Whether it is the host's own network: whoever has it reaches whatever this machine does, Redis and the gateway included. */
	readonly hostNetwork: boolean;
	/** Why no function may be a Dockerfile; undefined when one may. */
	readonly dockerfilesMissing: string | undefined;
	/** Names of directories. */
	readonly binds: readonly string[];
	/** Hosts that callbacks may go to although they aren't public. */
	readonly callbackHosts: readonly string[];
}

/** @throws BerthError invalid_manifest for what a manifest asks for and can't have here */
export function refuseForbidden(manifest: Manifest, permissions: Permissions): void {
	const { network, volumes = [], binds = [], background } = manifest;
	if (network === "host" && !permissions.hostNetwork)
		throw wrongField("network", "host isn't permitted here; the operator permits it with BERTH_HOST_NETWORK=permitted");
	refusePrivateHosts(network);
	refuseBesideClass(manifest);
	refuseWrongCors(manifest);
	refuseWrongPool(manifest);
	refuseVariableTwice(manifest);
	refuseReservedVariables(manifest);
	refuseUnboundSecrets(manifest);
	if (manifest.dockerfile !== undefined && permissions.dockerfilesMissing !== undefined)
		throw wrongField("dockerfile", permissions.dockerfilesMissing);
	const fault = background?.callbackUrl === undefined ? undefined : callbackUrlFault(background.callbackUrl, permissions.callbackHosts);
	if (fault !== undefined) throw wrongField("background.callbackUrl", fault);
	if (volumes.length + binds.length === 0) return;
	const field = volumes.length > 0 ? "volumes" : "binds";
	const [twice] = namedTwice(manifest);
	if (twice !== undefined)
		throw wrongField(field, `${twice} is named more than once, and there is one place /mnt/${twice}: volumes and binds share their names`);
	if (volumes.length + binds.length > FIXED_LIMITS.mounts)
		throw wrongField(field, `at most ${FIXED_LIMITS.mounts} volumes and binds together`);
	const unknown = binds.find((name) => !permissions.binds.includes(name));
	if (unknown !== undefined) throw wrongField("binds", unknownBind(unknown, permissions.binds));
}

function refusePrivateHosts(network: Manifest["network"]): void {
	for (const [at, entry] of (allowedHosts(network) ?? []).entries()) {
		const [host = ""] = entry.split(":");
		if (isIPv4(host) && !isPublicAddress(host)) throw wrongField(`network.allow.${at}`, `${host} isn't a public address`);
	}
}

/** A name is one variable, whichever of the two has its value. */
function refuseVariableTwice(manifest: Manifest): void {
	const { secrets = [] } = manifest;
	for (const [at, name] of secrets.entries()) {
		if (typeof name !== "string") continue;
		if (secrets.indexOf(name) !== at) throw wrongField(`secrets.${at}`, `${name} is named more than once`);
		if (Object.hasOwn(manifest.env, name)) throw wrongField(`secrets.${at}`, `${name} is a variable of env, too; leave one of the two out`);
	}
}

/** What Berth tells functions is its own to say; and no secret's value is where programs are, or what they are started with. */
function refuseReservedVariables(manifest: Manifest): void {
	for (const name of Object.keys(manifest.env))
		if (BERTHS_VARIABLE.test(name))
			throw wrongField("env", `${name} isn't a function's to set: names that begin with BERTH_ are Berth's; name it otherwise`);
	for (const [at, name] of (manifest.secrets ?? []).entries()) {
		if (typeof name !== "string") continue;
		const fault = secretVariableFault(name);
		if (fault !== undefined) throw wrongField(`secrets.${at}`, fault);
	}
}

/** A secret goes to a host over the way out that looks at hosts, once for each header. */
function refuseUnboundSecrets({ secrets = [], network }: Manifest): void {
	const allow = allowedHosts(network);
	const seen = new Set<string>();
	for (const [at, one] of secrets.entries()) {
		const [bound] = boundSecrets({ secrets: [one] });
		if (bound === undefined) continue;
		const { host, port, header } = bound;
		if (allow === undefined)
			throw wrongField(
				`secrets.${at}.host`,
				`a secret goes to a host where the network is a list of hosts; say "network": {"allow": [${JSON.stringify(host)}]}`,
			);
		if (!allowsEgress(allow, host, port))
			throw wrongField(`secrets.${at}.host`, `network.allow doesn't have ${host}:${port}; add it there`);
		const place = `${host}:${port} ${header}`;
		if (seen.has(place)) throw wrongField(`secrets.${at}.header`, `another secret is that header of ${host} already`);
		seen.add(place);
	}
}

/** A browser's preflight has no key, and would be told that a function is there that nobody else is told of. */
function refuseWrongCors({ cors, public: isPublic }: Manifest): void {
	if (cors === undefined) return;
	if (!isPublic) throw wrongField("cors", 'goes with "public": true: a browser asks with a request that has no key whether it may');
	const fault = corsFault(cors);
	if (fault !== undefined) throw wrongField(`cors.${fault.field}`, fault.message);
}

/** No more are ready than there may be; and each window opens some day. */
function refuseWrongPool({ pool, concurrency }: Manifest): void {
	const fewer = `is more than the ${concurrency} sandboxes that concurrency allows`;
	if ((pool?.min ?? 0) > concurrency) throw wrongField("pool.min", `${pool?.min} ${fewer}`);
	for (const [at, { cron, timeZone = "UTC", min }] of (pool?.windows ?? []).entries()) {
		if (min > concurrency) throw wrongField(`pool.windows.${at}.min`, `${min} ${fewer}`);
		try {
			cronTimes(cron, timeZone);
		} catch (error) {
			throw error instanceof WrongCron ? wrongField(`pool.windows.${at}.cron`, error.message) : error;
		}
	}
}

/** What a sandbox is connected to, and has mounted, is given to one that runs: under a kernel of its own it sees nothing of that. */
function refuseBesideClass({ runtimeClass, network, volumes = [], binds = [] }: Manifest): void {
	if (runtimeClass === undefined) return;
	const without = `can't be had with runtimeClass ${runtimeClass}; leave one of the two out`;
	if (network !== "none") throw wrongField("network", `a network ${without}`);
	if (volumes.length > 0) throw wrongField("volumes", `volumes ${without}`);
	if (binds.length > 0) throw wrongField("binds", `bind mounts ${without}`);
}

/** A function may follow itself; any other has to be there first. @throws BerthError invalid_manifest */
export async function refuseUnknownFollowers(
	project: string,
	self: string,
	{ background = {} }: Manifest,
	functions: FunctionRegistry,
): Promise<void> {
	for (const field of ["onSuccess", "onFailure"] as const) {
		const { name, alias } = followTarget(background[field] ?? self) ?? { name: self };
		if (name === self && alias === undefined) continue;
		const summary = await functions.getFunction(project, name);
		if (summary === undefined && name !== self)
			throw wrongField(`background.${field}`, `there is no function ${name} in this project; deploy it first`);
		if (alias !== undefined && !summary?.aliases.some((one) => one.name === alias))
			throw wrongField(`background.${field}`, `${name} has no alias ${alias}; make it first`);
	}
}

function unknownBind(name: string, known: readonly string[]): string {
	const meant = nearestWord(name, known);
	const hint = meant === undefined ? "" : `; did you mean ${meant}?`;
	return `the operator has no directory of the name ${name}${hint} (BERTH_BINDS)`;
}

/** A manifest with a field that can't be had as it is. */
export function wrongField(field: string, message: string): BerthError {
	return new BerthError("invalid_manifest", `${field}: ${message}`, { issues: [{ field, message }] });
}
