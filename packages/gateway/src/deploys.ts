import {
	BerthError,
	buildError,
	DEFAULT_FILENAME,
	type DeployAnswer,
	dockerfileManifestSchema,
	FIXED_LIMITS,
	HEADERS,
	IMAGE_LIMITS,
	imageDeploySchema,
	imageManifestSchema,
	inlineDeploySchema,
	KIB,
	type Language,
	LIVE,
	languageOf,
	type Manifest,
	manifestSchema,
	type Runtime,
	type SourceKind,
	type SourceReference,
	sizeText,
	type Version,
} from "@berth/contracts";
import type { Request, Response } from "express";
import { principalOf } from "./auth.js";
import type { Bodies } from "./body.js";
import { parseJson } from "./json.js";
import { flagFrom, nameFrom } from "./names.js";
import { refuseForbidden, refuseUnknownFollowers, wrongField } from "./permitted.js";
import { labelsLack, refuseUnrunnable } from "./placement.js";
import { refuseUnsendable } from "./secrets.js";
import type { Services } from "./services.js";
import { validate } from "./validation.js";

/** How long `?wait=true` waits, milliseconds. */
export const WAIT_MS = 60_000;
/** A JSON deploy: the source, escaped, and its manifest. */
const JSON_BYTES = 2 * FIXED_LIMITS.sourceBytes + 64 * KIB;
const SOURCE = `a source file may have ${sizeText(FIXED_LIMITS.sourceBytes)}, and its JSON twice that at most`;
/** Fields of a deploy, variables included, by far. */
const MOST_FIELDS = 1000;

const ARCHIVES: Readonly<Record<string, SourceKind>> = {
	"application/gzip": "tar.gz",
	"application/x-gzip": "tar.gz",
	"application/tar+gzip": "tar.gz",
	"application/zip": "zip",
	"application/x-tar": "image",
};

const INLINE = {
	code: "invalid_manifest",
	whole: "body",
	elsewhere: {
		entry: "names a file of an archive; with source, filename says what it is called",
		dockerfile: "names a file of an archive, sent as application/gzip",
	},
} as const;
const ARCHIVED = {
	code: "invalid_manifest",
	whole: HEADERS.manifest,
	elsewhere: {
		source: "goes with a deploy as application/json; here the archive is the source",
		filename: "goes with source; in an archive, entry names the file with the handler",
	},
} as const;

/** What a file is by its name, and which runtime would take it. */
const FILES: Readonly<Record<Language, { readonly what: string; readonly say: Runtime }>> = {
	node: { what: "JavaScript or TypeScript", say: "node24" },
	python: { what: "Python", say: "python3" },
	custom: { what: "a program", say: "custom" },
};

interface Deploy {
	readonly manifest: Manifest;
	readonly source: Omit<SourceReference, "digest">;
	readonly bytes: Uint8Array;
}

/** `PUT /v1/functions/{name}`: nothing is stored before everything about the request has been checked. */
export async function deploy(request: Request, response: Response, services: Services): Promise<void> {
	const { project } = principalOf(request);
	const name = nameFrom(request.params["name"]);
	const isAwaited = flagFrom(request.query["wait"], "wait", false);
	const noCache = !flagFrom(request.query["cache"], "cache", true);
	const { version, unchanged } = await take(request, { project, name, noCache }, services);
	if (unchanged) {
		await answerDone(200, { version, unchanged }, response, services);
		return;
	}
	services.events.record(project, { kind: "deploy", what: "queued", function: name, version: version.number });
	await addBuild(version, services);
	if (isAwaited) await answerWhenBuilt(version, response, services);
	else answerAccepted(version, response, services);
}

/** The source on disk, then the version; without the version the source goes again. Nobody who waits for a build holds its source. */
async function take(
	request: Request,
	{ project, name, noCache }: { readonly project: string; readonly name: string; readonly noCache: boolean },
	{ functions, artifacts, bodies, nodes, permissions, secrets, sharesImages }: Services,
) {
	const { sources } = artifacts;
	const { manifest, source, bytes } = await readDeploy(request, bodies);
	refuseForbidden(manifest, permissions);
	refuseUnrunnable(nodes, manifest);
	await refuseUnknownFollowers(project, name, manifest, functions);
	await refuseUnsendable(project, manifest, secrets);
	const digest = await sources.put(bytes);
	try {
		let created = await functions.createVersion(project, name, manifest, { ...source, digest }, { noCache });
		const { version, unchanged } = created;
		if (unchanged && !sharesImages && !(await isWhole(version, artifacts)))
			created = await functions.createVersion(project, name, manifest, { ...source, digest }, { damaged: version.number });
		// The last version that used this source may have been deleted, and the source with it, since it was put.
		if (!(await sources.has(digest))) await sources.put(bytes);
		return created;
	} catch (error) {
		// When this can't be asked either, the upkeep will find it.
		await sources.remove(digest, () => functions.usesSource(digest).catch(() => true));
		throw error;
	}
}

/** Whether a version's own layers are stored: one that was found to be corrupt was removed, and a build makes it again. */
async function isWhole({ image }: Version, { images }: Services["artifacts"]): Promise<boolean> {
	const stored = await Promise.all((image?.layers ?? []).map(({ digest }) => images.hasBlob(digest)));
	return stored.every((one) => one);
}

/** The version is durable, and that it waits for its build: should Redis fail now, the upkeep adds the build later. */
export async function addBuild({ project, function: name, number }: Version, { builds, log }: Services): Promise<void> {
	try {
		await builds.add({ project, function: name, version: number });
	} catch (err) {
		log.warn({ err, function: name, version: number }, "a build couldn't be added; the upkeep will");
	}
}

async function answerWhenBuilt(version: Version, response: Response, services: Services): Promise<void> {
	const built = await services.functions.waitForBuild(version, WAIT_MS);
	if (built === undefined) throw new BerthError("function_not_found", `${version.function} was deleted while it was built`);
	if (built.failure !== undefined) throw buildError(built, built.failure);
	if (built.state !== "ready") answerAccepted(built, response, services);
	else await answerDone(201, { version: built, unchanged: false }, response.location(pathOf(built)), services);
}

/** A version that is ready; `live` may have been left where it is. */
async function answerDone(status: number, answer: DeployAnswer, response: Response, { functions, nodes }: Services): Promise<void> {
	const { project, function: name } = answer.version;
	const summary = await functions.getFunction(project, name);
	const live = summary?.aliases.find((alias) => alias.name === LIVE);
	response
		.status(status)
		.json({ ...answer, ...(live === undefined ? {} : { live }), ...warningsOf(answer.version, nodes) } satisfies DeployAnswer);
}

function answerAccepted(version: Version, response: Response, { nodes }: Services): void {
	const answer: DeployAnswer = { version, unchanged: false, ...warningsOf(version, nodes) };
	response.status(202).location(pathOf(version)).json(answer);
}

/** A version that no node may run now is deployed all the same: nodes come and go. */
function warningsOf({ manifest }: Version, nodes: Services["nodes"]): Pick<DeployAnswer, "warnings"> {
	const lack = labelsLack(nodes, manifest);
	return lack === undefined ? {} : { warnings: [lack] };
}

function pathOf(version: Version): string {
	return `/v1/functions/${version.function}/versions/${version.number}`;
}

async function readDeploy(request: Request, bodies: Bodies): Promise<Deploy> {
	const type = (request.headers["content-type"] ?? "").split(";", 1)[0]?.trim().toLowerCase() ?? "";
	if (type === "application/json") return readInline(parseJson(await bodies.read(request, JSON_BYTES, SOURCE), "the body", MOST_FIELDS));
	const kind = ARCHIVES[type];
	if (kind !== undefined) return await readArchive(request, kind, bodies);
	const sent = type === "" ? "; there was no Content-Type" : `, not ${JSON.stringify(type.slice(0, 100))}`;
	const detail = `send application/json with the source, or an archive as application/gzip or application/zip, or an image as application/x-tar${sent}`;
	throw new BerthError("unsupported_media_type", detail);
}

/** An image runs on no runtime but the one for programs, which needn't be said. */
function onCustom(value: unknown): unknown {
	return typeof value === "object" && value !== null ? { runtime: "custom", ...value } : value;
}

/** A deploy of an image in a registry. What a tag stands for may have changed since: each deploy of one asks again, and is a version. */
function readReference(value: object): Deploy {
	const { image: reference, ...manifest } = validate(imageDeploySchema, onCustom(value), INLINE);
	const askedAt = reference.includes("@") ? {} : { askedAt: new Date().toISOString() };
	const bytes = Buffer.from(JSON.stringify({ reference, ...askedAt }));
	return { manifest, source: { kind: "image-reference", sizeBytes: bytes.length }, bytes };
}

function readInline(value: unknown): Deploy {
	if (typeof value === "object" && value !== null && "image" in value) return readReference(value);
	const { source, filename: named, ...manifest } = validate(inlineDeploySchema, value, INLINE);
	const language = languageOf(manifest.runtime);
	const filename = named ?? DEFAULT_FILENAME[language];
	if (languageIn(filename) !== language) throw wrongLanguage(filename, manifest.runtime);
	const bytes = Buffer.from(source);
	return { manifest, source: { kind: "file", filename, sizeBytes: bytes.length }, bytes };
}

function languageIn(filename: string): Language {
	if (filename === DEFAULT_FILENAME.custom) return "custom";
	return filename.endsWith(".py") ? "python" : "node";
}

/** A deploy whose file is of another language than its runtime: which of the two is meant, only the caller knows. */
function wrongLanguage(filename: string, runtime: Runtime): BerthError {
	const { what, say } = FILES[languageIn(filename)];
	const message = `${filename} is ${what}, and the runtime is ${runtime}; say "runtime": "${say}", or name it ${DEFAULT_FILENAME[languageOf(runtime)]}`;
	return wrongField("filename", message);
}

async function readArchive(request: Request, kind: SourceKind, bodies: Bodies): Promise<Deploy> {
	const header = request.headers[HEADERS.manifest];
	const value = header === undefined ? {} : parseJson(Buffer.from(String(header), "latin1"), `the header ${HEADERS.manifest}`, MOST_FIELDS);
	if (kind !== "image" && typeof value === "object" && value !== null && "dockerfile" in value)
		return await readContext(request, kind, value, bodies);
	const manifest = kind === "image" ? validate(imageManifestSchema, onCustom(value), ARCHIVED) : validate(manifestSchema, value, ARCHIVED);
	const bytes = await archiveOf(request, kind === "image" ? IMAGE_LIMITS.archiveBytes : FIXED_LIMITS.archiveBytes, bodies);
	return { manifest, source: { kind, sizeBytes: bytes.length }, bytes };
}

/** An archive whose Dockerfile says what the function is. */
async function readContext(request: Request, kind: SourceKind, value: object, bodies: Bodies): Promise<Deploy> {
	const manifest = validate(dockerfileManifestSchema, onCustom(value), ARCHIVED);
	if (kind !== "tar.gz") throw wrongField("dockerfile", "goes with an archive as application/gzip; pack it with `tar -czf`");
	const bytes = await archiveOf(request, FIXED_LIMITS.archiveBytes, bodies);
	return { manifest, source: { kind: "dockerfile", sizeBytes: bytes.length }, bytes };
}

async function archiveOf(request: Request, mostBytes: number, bodies: Bodies): Promise<Buffer> {
	const bytes = await bodies.read(request, mostBytes);
	if (bytes.length === 0) throw new BerthError("invalid_request", "the archive is empty: the body has no bytes");
	return bytes;
}
