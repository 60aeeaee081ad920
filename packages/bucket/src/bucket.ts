import { createHash } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { BerthError, SECOND_MS } from "@berth/contracts";
import { AwsV4Signer } from "aws4fetch";
import { Agent, request } from "undici";
import { errorOf, textsOf } from "./answers.js";
import { sharedLookup } from "./shared-lookup.js";

/** A part of a bucket in an S3-compatible store, and the key to it. */
export interface BucketPlace {
	/** Origin of the store's API, perhaps with a path: `https://s3.eu-central-1.amazonaws.com`, `http://127.0.0.1:9000`. */
	readonly endpoint: string;
	readonly region: string;
	readonly bucket: string;
	/** What all names here begin with: empty, or it ends with a slash. */
	readonly prefix: string;
	readonly accessKeyId: string;
	readonly secretAccessKey: string;
}

/** How long one request may take, milliseconds; and for how long from the first one more is begun. */
export interface Patience {
	readonly tryMs: number;
	readonly retryMs: number;
}
const PATIENCE: Patience = { tryMs: 10 * SECOND_MS, retryMs: 5 * SECOND_MS };
const PAUSE_FIRST_MS = 100;
const PAUSE_MOST_MS = SECOND_MS;
/** Names of one answer to a list; S3 gives no more. */
const PAGE = 1000;

type Method = "GET" | "HEAD" | "PUT" | "DELETE";
interface Asked {
	readonly query?: Readonly<Record<string, string>>;
	readonly body?: Uint8Array;
	readonly headers?: Readonly<Record<string, string>>;
}
interface Answer {
	readonly status: number;
	readonly body: Buffer;
}

/**
 * Objects of a bucket, addressed by path (`endpoint/bucket/name`), signed with AWS Signature Version 4, bodies included. Whatever is
 * asked here may be asked twice, so what fails for want of a good answer is tried again for a while.
 * All methods throw BerthError `unavailable` naming the store, and why.
 */
export class Bucket {
	readonly #place: BucketPlace;
	readonly #agent = new Agent({ connect: { lookup: sharedLookup() } });
	/** Keys of the day, which the signer makes. */
	readonly #signingKeys = new Map<string, ArrayBuffer>();
	readonly #patience: Patience;

	constructor(place: BucketPlace, patience: Patience = PATIENCE) {
		this.#place = place;
		this.#patience = patience;
	}

	/** As people know it. */
	get name(): string {
		const { bucket, prefix, endpoint } = this.#place;
		return `s3://${bucket}/${prefix} at ${endpoint}`;
	}

	error(why: string, cause?: unknown): BerthError {
		return new BerthError("unavailable", `the payload store ${this.name} doesn't do: ${why}`, cause === undefined ? {} : { cause });
	}

	/** It is there, whole, when this resolves. */
	async put(name: string, bytes: Uint8Array): Promise<void> {
		await this.#ask("PUT", name, { body: bytes });
	}

	/** Undefined when there is none. */
	async find(name: string): Promise<Buffer | undefined> {
		return (await this.#askFor("GET", name))?.body;
	}

	async has(name: string): Promise<boolean> {
		return (await this.#askFor("HEAD", name)) !== undefined;
	}

	/** Idempotent. */
	async remove(name: string): Promise<void> {
		await this.#askFor("DELETE", name);
	}

	/** Within the store, without the bytes coming here. False when there is none. */
	async copy(from: string, to: string): Promise<boolean> {
		const { bucket, prefix } = this.#place;
		const answer = await this.#askFor("PUT", to, { headers: { "x-amz-copy-source": `/${bucket}/${prefix}${from}` } });
		// A copy that fails half-way has said 200 before it knew (S3's API reference, CopyObject).
		const { code, message } = errorOf(answer?.body.toString("utf8") ?? "");
		if (code !== undefined) throw this.error(`${code}: ${message}`);
		return answer !== undefined;
	}

	/** Names below a directory, without it, in their order. */
	async names(directory: string): Promise<readonly string[]> {
		const start = this.#place.prefix + directory;
		const found: string[] = [];
		let last = "";
		do {
			const query = { "list-type": "2", prefix: start, "max-keys": String(PAGE), ...(last === "" ? {} : { "start-after": last }) };
			const xml = (await this.#ask("GET", undefined, { query })).body.toString("utf8");
			const keys = textsOf(xml, "Key");
			found.push(...keys.map((key) => key.slice(start.length)));
			last = textsOf(xml, "IsTruncated")[0] === "true" ? (keys.at(-1) ?? "") : "";
		} while (last !== "");
		return found;
	}

	async #ask(method: Method, name: string | undefined, asked: Asked = {}): Promise<Answer> {
		const answer = await this.#askFor(method, name, asked);
		if (answer === undefined) throw this.error("404, where nothing can be missing; is the endpoint right?");
		return answer;
	}

	/** Undefined when there is no such object. */
	async #askFor(method: Method, name: string | undefined, asked: Asked = {}): Promise<Answer | undefined> {
		const until = performance.now() + this.#patience.retryMs;
		for (let pauseMs = PAUSE_FIRST_MS; ; pauseMs = Math.min(2 * pauseMs, PAUSE_MOST_MS)) {
			const tried = await this.#try(method, name, asked);
			if (tried instanceof BerthError) {
				if (performance.now() + pauseMs > until) throw tried;
			} else if (isTransient(tried.status)) {
				if (performance.now() + pauseMs > until) throw this.#refusal(tried);
			} else if (tried.status < 300) return tried;
			else if (isAbsent(method, tried)) return undefined;
			else throw this.#refusal(tried);
			await pause(pauseMs * (0.75 + Math.random() / 2));
		}
	}

	/** One request: an answer, or why there is none. */
	async #try(method: Method, name: string | undefined, { query = {}, body, headers = {} }: Asked): Promise<Answer | BerthError> {
		const { endpoint, bucket, prefix } = this.#place;
		const url = new URL(`${endpoint}/${bucket}${name === undefined ? "" : `/${prefix}${name}`}`);
		for (const [field, value] of Object.entries(query)) url.searchParams.set(field, value);
		try {
			const signed = await this.#signed(method, url, headers, body);
			// A redirect isn't followed: where it leads nobody has signed for.
			const response = await request(signed.url, {
				method,
				headers: Object.fromEntries(signed.headers),
				body: body ?? null,
				dispatcher: this.#agent,
				signal: AbortSignal.timeout(this.#patience.tryMs),
			});
			return { status: response.statusCode, body: Buffer.from(await response.body.arrayBuffer()) };
		} catch (error) {
			if (error instanceof DOMException && error.name === "TimeoutError")
				return this.error(`no answer within ${this.#patience.tryMs / SECOND_MS} s`, error);
			const { message, code } = error as NodeJS.ErrnoException;
			return this.error(`it can't be reached: ${message || code}`, error);
		}
	}

	async #signed(method: Method, url: URL, headers: Readonly<Record<string, string>>, body: Uint8Array | undefined) {
		const { accessKeyId, secretAccessKey, region } = this.#place;
		const digest = createHash("sha256")
			.update(body ?? "")
			.digest("hex");
		return await new AwsV4Signer({
			...{ method, url: url.href, accessKeyId, secretAccessKey, region, service: "s3", cache: this.#signingKeys },
			headers: { ...headers, "x-amz-content-sha256": digest },
		}).sign();
	}

	#refusal({ status, body }: Answer): BerthError {
		const { code, message } = errorOf(body.toString("utf8"));
		const said = code === undefined ? String(status) : `${status} ${code}${message === undefined ? "" : `: ${message.slice(0, 200)}`}`;
		const { bucket, region } = this.#place;
		if (code === "NoSuchBucket") return this.error(`there is no bucket ${bucket}; make it, it isn't made by itself (${said})`);
		if (status === 401 || status === 403) return this.error(`the key isn't taken, or may not do this (${said})`);
		if (status >= 300 && status < 400) return this.error(`it is elsewhere; is the region right, ${region}? (${said})`);
		return this.error(said);
	}
}

/** Not every 404 is an object's: stores say it of buckets and of keys, too. An answer to HEAD can't say of what. */
function isAbsent(method: Method, { status, body }: Answer): boolean {
	return status === 404 && (method === "HEAD" || errorOf(body.toString("utf8")).code === "NoSuchKey");
}

function isTransient(status: number): boolean {
	return status >= 500 || status === 429 || status === 408;
}
