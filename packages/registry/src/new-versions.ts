import {
	BerthError,
	type BuildReport,
	DEFAULT_PROJECT,
	type ImageReference,
	joinedNetwork,
	type Manifest,
	type QuotaName,
	type Quotas,
	type SourceReference,
	secretNames,
	type Version,
	warmMiBOf,
} from "@berth/contracts";
import { guarded, type Redis } from "@berth/redis";
import { projectNotFound } from "./absent.js";
import { stateLine } from "./build-states.js";
import { keys, versionPrefix } from "./keys.js";
import { makeProject } from "./projects.js";
import { quotaExceeded } from "./quotas.js";
import { unrecovered } from "./store-state.js";
import { fingerprintOf } from "./version-fields.js";
import { ANY_VERSION, CREATE_VERSION, IMPORT_VERSION } from "./version-scripts.js";

/** Which versions a deploy isn't taken to be equal to. */
export interface DeployTerms {
	/** That one. */
	readonly damaged?: number;
	/** None, and layers are made anew. */
	readonly noCache?: boolean;
}

interface Deploy extends DeployTerms {
	readonly project: string;
	readonly name: string;
	readonly manifest: Manifest;
	readonly source: SourceReference;
	/** What bounds projects for which nothing else was set. */
	readonly quotas: Quotas;
}

/** Which quota a script's answer is about. */
const QUOTA_OF: Readonly<Record<number, QuotaName>> = { [-5]: "functions", [-6]: "imageMiB", [-7]: "warmMiB" };

/** What is known of a version that was built before or elsewhere. */
export type ImportedVersion = Pick<Version, "project" | "function" | "number" | "manifest" | "source" | "createdAt">;

/** As `FunctionRegistry.createVersion`. @throws BerthError store_unrecovered, project_not_found, network_not_found, volume_not_found, secret_not_found, quota_exceeded */
export async function createVersion(
	redis: Redis,
	{ project, name, manifest, source, damaged, noCache, quotas }: Deploy,
): Promise<{ readonly number: number; readonly unchanged: boolean }> {
	const createdAt = new Date().toISOString();
	const { volumes = [] } = manifest;
	const base = JSON.stringify({ manifest, source, createdAt, ...(noCache === true ? { noCache: true } : {}) });
	const [number, unchanged, limit] = (await guarded(redis, `deploying ${name}`, () =>
		CREATE_VERSION.run(
			redis,
			[
				keys.names(project),
				keys.function(project, name),
				keys.numbers(project, name),
				keys.counter(project, name),
				keys.unfinished,
				keys.sourceUsers(source.digest),
				keys.store,
				keys.networks(project),
				keys.volumes(project),
				keys.removedProjects,
				keys.secrets(project),
				keys.quotas,
				keys.heldLayers(project),
				keys.warm(project),
				keys.warmFunctions,
			],
			[
				name,
				base,
				fingerprintOf(manifest, source),
				createdAt,
				versionPrefix(project, name),
				`${project}/${name}`,
				noCache === true ? ANY_VERSION : (damaged ?? ""),
				stateLine("queued", "queued"),
				project,
				joinedNetwork(manifest.network) ?? "",
				quotas.functions ?? "",
				quotas.imageMiB ?? "",
				warmMiBOf(manifest),
				quotas.warmMiB ?? "",
				volumes.length,
				...volumes.map((volume) => volume.name),
				...secretNames(manifest),
			],
		),
	)) as [number, number | string, number?] | [];
	if (number === undefined) throw unrecovered();
	if (number === -3) throw projectNotFound(project);
	if (number === -4) throw noSecret(manifest, String(unchanged));
	const quota = QUOTA_OF[number];
	if (quota !== undefined) throw quotaExceeded(quota, project, limit ?? 0, Number(unchanged));
	if (number < 0) throw number === -1 ? noNetwork(manifest) : noVolume(String(unchanged));
	return { number, unchanged: unchanged === 1 };
}

/** As `FunctionRegistry.importVersion`. @throws BerthError project_not_found for one that was removed, quota_exceeded */
export async function importVersion(
	redis: Redis,
	version: ImportedVersion,
	image: ImageReference,
	build: BuildReport,
	quotas: Quotas | undefined,
): Promise<boolean> {
	const { project, function: name, number, manifest, source, createdAt } = version;
	// When the records were lost, so was that there is such a project.
	if (project !== DEFAULT_PROJECT) await makeProject(redis, project);
	const done = await guarded(redis, `recording ${name}:${number}`, () =>
		IMPORT_VERSION.run(
			redis,
			[
				keys.names(project),
				keys.function(project, name),
				keys.numbers(project, name),
				keys.counter(project, name),
				keys.version(project, name, number),
				keys.sourceUsers(source.digest),
				keys.changes,
				keys.removedProjects,
				keys.quotas,
				keys.heldLayers(project),
				keys.warm(project),
				keys.warmFunctions,
			],
			[
				name,
				number,
				`${project}/${name}`,
				JSON.stringify({ manifest, source, createdAt }),
				fingerprintOf(manifest, source),
				JSON.stringify(image),
				JSON.stringify(build),
				new Date().toISOString(),
				project,
				quotas?.functions ?? "",
				quotas === undefined ? 0 : 1,
				quotas?.imageMiB ?? "",
				warmMiBOf(manifest),
			],
		),
	);
	if (Array.isArray(done)) throw quotaExceeded(done[0] === -5 ? "functions" : "imageMiB", project, Number(done[2]), Number(done[1]));
	if (done === -3) throw projectNotFound(project);
	return done === 1;
}

function noVolume(name: string): BerthError {
	const message = `there is no volume ${JSON.stringify(name)} in this project; make it first, with PUT /v1/volumes/${name}`;
	return new BerthError("volume_not_found", `volumes: ${message}`, { issues: [{ field: "volumes", message }] });
}

function noSecret(manifest: Manifest, name: string): BerthError {
	const field = `secrets.${manifest.secrets?.findIndex((one) => one === name || (typeof one === "object" && one.name === name))}`;
	const message = `there is no secret ${name} in this project; set it first, with \`berth secret set ${name}\` or PUT /v1/secrets/${name}`;
	return new BerthError("secret_not_found", `${field}: ${message}`, { issues: [{ field, message }] });
}

function noNetwork({ network }: Manifest): BerthError {
	const name = joinedNetwork(network);
	const message = `there is no network ${JSON.stringify(name)} in this project; make it first, with PUT /v1/networks/${name}`;
	return new BerthError("network_not_found", `network.join: ${message}`, { issues: [{ field: "network.join", message }] });
}
