import { createHash } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { BerthError, CONTENT_TYPES, type Digest, IMAGE_BOUNDS } from "@berth/contracts";
import type { RegistryAccess } from "./access.js";
import { boundedText, cleaned, saysCode } from "./answer-text.js";
import { type Answer, Exchange, headerOf } from "./exchange.js";

/**
 * How often a registry is asked that, for a moment, fails at what somebody else puts there, too; with this more between each two, milliseconds. Distribution
 * (2.8) writes anew that it has a blob: meanwhile it answers 500 to whether it has it, and that a manifest's blobs aren't there.
 */
const TIMES = 5;
const PAUSE_MS = 50;

/** A blob by what it has to be. */
export interface BlobDescriptor {
	readonly digest: Digest;
	/** Bytes. */
	readonly size: number;
}

export interface RemoteManifest {
	readonly bytes: Buffer;
	readonly digest: Digest;
}

const INDEX_TYPES = ["application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"] as const;
/** Lists are named so that a registry says what it has, rather than that it has nothing. */
const ACCEPTED = [...CONTENT_TYPES.manifest, ...INDEX_TYPES].join(", ");

/**
 * One repository of an OCI registry (distribution-spec 1.1). Everything that is read is checked against its
 * digest and size: a registry is believed nothing.
 */
export class Repository {
	readonly #exchange: Exchange;
	readonly #host: string;
	readonly #name: string;

	/** @param use what a token has to allow */
	constructor(access: RegistryAccess, name: string, use: "pull" | "push") {
		this.#exchange = new Exchange(access, `repository:${name}:${use === "push" ? "pull,push" : "pull"}`);
		this.#host = access.host;
		this.#name = name;
	}

	/**
	 * @param reference a tag or digest. @param architecture of a list of images, takes the one for linux and this processor; without it, a list is refused
	 * @throws BerthError `image_not_found`, `image_rejected`, `registry_failed`
	 */
	async readManifest(reference: string, architecture?: string): Promise<RemoteManifest> {
		const what = `the manifest ${reference} of ${this.#name}`;
		const answer = await this.#exchange.ask({
			method: "GET",
			url: this.#path(`manifests/${reference}`),
			headers: { accept: ACCEPTED },
			what,
		});
		if (answer.statusCode === 404) {
			await answer.body.dump();
			throw new BerthError("image_not_found", `${this.#host} has no image ${reference} in ${this.#name}.`);
		}
		if (answer.statusCode !== 200) throw await this.#exchange.failure(answer, what);
		const bytes = await collect(answer.body, IMAGE_BOUNDS.documentBytes, what);
		const digest: Digest = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
		if (reference.startsWith("sha256:") && reference !== digest)
			throw new BerthError("image_rejected", `${this.#host} gave a manifest of digest ${digest} for ${reference}.`);
		if (architecture !== undefined && isIndex(answer)) return await this.readManifest(imageFor(architecture, bytes, what));
		requireImage(answer, what);
		return { bytes, digest };
	}

	/** A blob that has to fit into memory. @throws BerthError as `readBlob` */
	async readDocument(descriptor: BlobDescriptor): Promise<Buffer> {
		const pieces: Uint8Array[] = [];
		for await (const piece of this.readBlob(descriptor)) pieces.push(piece);
		return Buffer.concat(pieces);
	}

	/**
	 * A blob's bytes in pieces, checked against the digest, and the size where it is known: who reads it to its end without an error had the right ones.
	 * @throws BerthError `image_not_found`; `image_rejected` when digest or size are wrong; `registry_failed`
	 */
	async *readBlob({ digest, size }: { readonly digest: Digest; readonly size?: number }): AsyncGenerator<Uint8Array, void> {
		const what = `the blob ${digest}`;
		const answer = await this.#exchange.ask({ method: "GET", url: this.#path(`blobs/${digest}`), what });
		if (answer.statusCode === 404) {
			await answer.body.dump();
			throw new BerthError("image_not_found", `${this.#host} has no blob ${digest} in ${this.#name}: the image isn't whole there.`);
		}
		if (answer.statusCode !== 200) throw await this.#exchange.failure(answer, what);
		const most = size ?? IMAGE_BOUNDS.layerBytes;
		const hash = createHash("sha256");
		let bytes = 0;
		for await (const piece of answer.body) {
			bytes += piece.byteLength;
			if (bytes > most)
				throw new BerthError("image_rejected", `The blob ${digest} of ${this.#host} is longer than the ${most} bytes it may have.`);
			hash.update(piece);
			yield piece;
		}
		const actual = `sha256:${hash.digest("hex")}`;
		if ((size !== undefined && bytes !== size) || actual !== digest)
			throw new BerthError("image_rejected", `The blob ${digest} of ${this.#host} is damaged: it has ${bytes} bytes of digest ${actual}.`);
	}

	async hasBlob(digest: Digest): Promise<boolean> {
		const what = `whether it has the blob ${digest}`;
		for (let times = 1; ; times++) {
			const answer = await this.#exchange.ask({ method: "HEAD", url: this.#path(`blobs/${digest}`), what });
			await answer.body.dump();
			const { statusCode } = answer;
			if (statusCode === 200 || statusCode === 404) return statusCode === 200;
			if (times === TIMES || statusCode < 500) throw this.#exchange.failureOf(answer, "", what);
			await pause(times * PAUSE_MS);
		}
	}

	/**
	 * Puts a blob there, in one request; or has it taken from another repository, without sending it.
	 * @param bytes as often as it has to be sent. @param from a repository of this registry that had it
	 * @returns whether it was sent. @throws BerthError `registry_failed`
	 */
	async putBlob({ digest, size }: BlobDescriptor, bytes: () => AsyncIterable<Uint8Array>, from: string | undefined): Promise<boolean> {
		const what = `an upload of ${digest}`;
		const mount = from === undefined ? "" : `?mount=${digest}&from=${encodeURIComponent(from)}`;
		const begun = await this.#exchange.ask({
			method: "POST",
			url: this.#path(`blobs/uploads/${mount}`),
			headers: { "content-length": "0" },
			what,
		});
		if (begun.statusCode === 201) {
			await begun.body.dump();
			return false;
		}
		const location = headerOf(begun, "location");
		if (begun.statusCode !== 202 || location === undefined || !URL.canParse(location, begun.url))
			throw await this.#exchange.failure(begun, what);
		await begun.body.dump();
		const url = new URL(location, begun.url);
		url.searchParams.set("digest", digest);
		const headers = { "content-type": "application/octet-stream", "content-length": String(size) };
		const ended = await this.#exchange.ask({ method: "PUT", url: url.href, headers, body: bytes, what });
		if (ended.statusCode !== 201) throw await this.#exchange.failure(ended, what);
		await ended.body.dump();
		return true;
	}

	/**
	 * Whether images may be put here: begins an upload and gives it up.
	 * @throws BerthError `registry_failed`; its `extra.refused` says that the registry answered, and refused
	 */
	async tryPush(): Promise<void> {
		const what = `an upload to ${this.#name}`;
		const begun = await this.#exchange.ask({
			method: "POST",
			url: this.#path("blobs/uploads/"),
			headers: { "content-length": "0" },
			what,
		});
		const location = headerOf(begun, "location");
		if (begun.statusCode !== 202 || location === undefined || !URL.canParse(location, begun.url))
			throw await this.#exchange.failure(begun, what);
		await begun.body.dump();
		// Not every registry knows the end of an upload; they forget those that go nowhere.
		const ended = await this.#exchange.ask({ method: "DELETE", url: new URL(location, begun.url).href, what: `the end of ${what}` });
		await ended.body.dump();
	}

	/** Names an image whose blobs are there. @param reference a tag or digest. @throws BerthError `registry_failed` */
	async putManifest(reference: string, { bytes, digest, mediaType }: RemoteManifest & { readonly mediaType: string }): Promise<void> {
		const what = `the manifest ${reference} of ${this.#name}`;
		const url = this.#path(`manifests/${reference}`);
		const put = () => this.#exchange.ask({ method: "PUT", url, headers: { "content-type": mediaType }, body: () => bytes, what });
		let answer = await put();
		for (let times = 1; answer.statusCode !== 201; times++) {
			const text = await boundedText(answer.body);
			if (times === TIMES || !saysCode(text, "MANIFEST_BLOB_UNKNOWN")) throw this.#exchange.failureOf(answer, text, what);
			await pause(times * PAUSE_MS);
			answer = await put();
		}
		await answer.body.dump();
		const said = headerOf(answer, "docker-content-digest") ?? digest;
		if (said !== digest) throw new BerthError("registry_failed", `${this.#host} took the manifest ${digest} as ${cleaned(said)}.`);
	}

	#path(rest: string): string {
		return `/v2/${this.#name}/${rest}`;
	}
}

function typeOf(answer: Answer): string {
	return (headerOf(answer, "content-type") ?? "").split(";")[0]?.trim() ?? "";
}

function isIndex(answer: Answer): boolean {
	return (INDEX_TYPES as readonly string[]).includes(typeOf(answer));
}

/** The digest of the one for this machine (OCI image spec, image-index.md). */
function imageFor(architecture: string, bytes: Buffer, what: string): string {
	let manifests: unknown;
	try {
		manifests = (JSON.parse(bytes.toString()) as { manifests?: unknown } | null)?.manifests;
	} catch (cause) {
		throw new BerthError("image_rejected", `${what} isn't JSON.`, { cause });
	}
	for (const one of Array.isArray(manifests) ? (manifests as readonly unknown[]) : []) {
		const { digest, platform } = (one ?? {}) as { digest?: unknown; platform?: { os?: unknown; architecture?: unknown } };
		if (platform?.os !== "linux" || platform.architecture !== architecture) continue;
		if (typeof digest === "string" && /^sha256:[0-9a-f]{64}$/.test(digest)) return digest;
	}
	throw new BerthError("image_rejected", `${what} is a list of images, none of which is for linux/${architecture}.`);
}

function requireImage(answer: Answer, what: string): void {
	const type = typeOf(answer);
	if ((CONTENT_TYPES.manifest as readonly string[]).includes(type)) return;
	throw new BerthError(
		"image_rejected",
		isIndex(answer)
			? `${what} is a list of images; name one of them by its digest.`
			: `${what} is of type ${cleaned(type) || "unknown"}: not an image.`,
	);
}

async function collect(body: AsyncIterable<Uint8Array>, mostBytes: number, what: string): Promise<Buffer> {
	const pieces: Uint8Array[] = [];
	let bytes = 0;
	for await (const piece of body) {
		bytes += piece.byteLength;
		if (bytes > mostBytes) throw new BerthError("image_rejected", `${what} has more than ${mostBytes} bytes.`);
		pieces.push(piece);
	}
	return Buffer.concat(pieces);
}
