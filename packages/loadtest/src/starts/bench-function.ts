import { randomBytes } from "node:crypto";
import type { Client } from "@berth/client";
import { type DeployAnswer, type InlineDeployInput, languageOf, type ManifestInput, type Version } from "@berth/contracts";
import { BenchError } from "../bench-error.js";
import type { Archive, Subject } from "../options.js";
import type { DistinctBy } from "../report/report.js";

/** A function to be measured. Whoever opened it disposes of it: what was deployed for the bench is removed then. */
export interface BenchFunction extends AsyncDisposable {
	readonly name: string;
	/** What a person calls it. */
	readonly title: string;
	readonly distinctBy: DistinctBy;
	readonly sourceBytes: number;
	/** Makes a version that nothing has seen before. @returns its number */
	renew(): Promise<number>;
}

/** What a subject comes to: how to deploy its n-th version. */
interface Plan {
	readonly title: string;
	readonly distinctBy: DistinctBy;
	readonly sourceBytes: number;
	deploy(name: string, mark: string): Promise<DeployAnswer>;
}

interface Limits {
	readonly signal?: AbortSignal;
}

/** Names the version in its environment where its source can't be changed. */
const MARK_VARIABLE = "BENCH_VERSION";

/** @param suffix of its name. @throws ApiError when it can't be deployed or isn't there */
export async function openFunction(client: Client, subject: Subject, limits: Limits, suffix = ""): Promise<BenchFunction> {
	const { deploy, ...about } = await planFor(client, subject, limits);
	const run = randomBytes(4).toString("hex");
	const name = `bench-${run}${suffix}`;
	let count = 0;
	const renew = async () => (await deploy(name, `${run}-${++count}`)).version;
	const remove = () => client.remove(name);
	await renew().catch(async (error: unknown) => {
		// A build that failed, or was interrupted, has left its function; one that was refused hasn't.
		await remove().catch(() => undefined);
		throw error;
	});
	return { ...about, name, renew: async () => (await renew()).number, [Symbol.asyncDispose]: remove };
}

async function planFor(client: Client, subject: Subject, limits: Limits): Promise<Plan> {
	if (subject.kind === "source") return sourcePlan(client, subject.deploy, subject.title ?? subject.deploy.filename ?? "source", limits);
	if (subject.kind === "archive") return archivePlan(client, subject.archive, subject.title ?? "archive", limits);
	const { version } = await client.get(subject.name);
	const bytes = await client.source(subject.name, version.number, limits);
	return copyPlan(client, version, bytes, limits);
}

function copyPlan(client: Client, { function: title, source, manifest }: Version, bytes: Buffer, limits: Limits): Plan {
	if (source.kind === "image" || source.kind === "image-reference" || source.kind === "dockerfile")
		throw new BenchError(`${title} is an image, whose cold starts can't be measured yet: a copy would be the same image`);
	if (source.kind !== "file") return archivePlan(client, { kind: source.kind, bytes, manifest }, title, limits);
	const { entry: _, ...inline }: ManifestInput = manifest;
	const filename = source.filename === undefined ? {} : { filename: source.filename };
	return sourcePlan(client, { ...inline, ...filename, source: bytes.toString("utf8") }, title, limits);
}

function sourcePlan(client: Client, deploy: InlineDeployInput, title: string, limits: Limits): Plan {
	return {
		title,
		distinctBy: "source",
		sourceBytes: Buffer.byteLength(deploy.source),
		deploy: (name, mark) =>
			client.deploy(name, { ...withoutPool(deploy), source: `${deploy.source}\n${markLine(deploy, mark)}\n` }, limits),
	};
}

/** A line that makes a source another one. A bundler keeps only what has an effect; the others' sources stay as they are. */
function markLine({ runtime = "node24" }: InlineDeployInput, mark: string): string {
	return languageOf(runtime) === "node" ? `globalThis.berthBenchVersion = ${JSON.stringify(mark)};` : `# ${mark}`;
}

function archivePlan(client: Client, archive: Archive, title: string, limits: Limits): Plan {
	const manifest = withoutPool(archive.manifest);
	return {
		title,
		distinctBy: "environment",
		sourceBytes: archive.bytes.length,
		deploy: (name, mark) =>
			client.deployArchive(name, { ...archive, manifest: { ...manifest, env: { ...manifest.env, [MARK_VARIABLE]: mark } } }, limits),
	};
}

/** A copy has no sandboxes ready: a cold start would find one, and its project's quota may have no room for them. */
function withoutPool<Fields extends Pick<ManifestInput, "pool">>({ pool: _, ...manifest }: Fields): Omit<Fields, "pool"> {
	return manifest;
}
