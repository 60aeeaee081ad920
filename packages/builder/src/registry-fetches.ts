import { type BuildQuestion, DEPENDENCY_LIMITS, type FetchReply, QUESTIONS, type ReadReply } from "@berth/contracts";
import type { PackageSource } from "./package-source.js";

/** Characters that paths of a package registry have: names, scopes (also as %2f), versions. */
const PATH = /^\/[\w.~!*'()@+%/-]{1,512}$/;
const NO_BYTES = new Uint8Array(0);

type FetchQuestion = Extract<BuildQuestion, { kind: "fetch" }>;

interface Reply {
	readonly head: FetchReply | ReadReply;
	readonly body: Uint8Array;
}

/** An answer of the registry's that is being read. */
interface Reading {
	readonly reader: ReadableStreamDefaultReader<Uint8Array>;
	/** What was read and not given yet. */
	held: Uint8Array;
	bytes: number;
}

/**
 * One installation's way to the package registry: GET, paths below the registry's own URL or of the one origin that has its
 * files, no redirect, bounded in size, number and time. It is asked from a sandbox, so nothing else of what is asked for is believed.
 */
export class RegistryFetches implements Disposable {
	readonly #source: PackageSource;
	readonly #silenceMs: number;
	readonly #stop = new AbortController();
	readonly #readings = new Map<number, Reading>();
	#fetches = 0;
	#handles = 0;
	#bytes = 0;

	/** @param silenceMs how long the registry may say nothing */
	constructor(source: PackageSource, silenceMs: number) {
		this.#silenceMs = silenceMs;
		this.#source = source;
	}

	/** Requests so far. */
	get count(): number {
		return this.#fetches;
	}

	/** Bytes that came so far. */
	get bytes(): number {
		return this.#bytes;
	}

	async fetch(question: Pick<FetchQuestion, "path" | "of">): Promise<Reply> {
		const url = this.#urlOf(question);
		if (url === undefined) return refusal(400, "it isn't a path of the registry");
		if (++this.#fetches > DEPENDENCY_LIMITS.fetches) return refusal(429, `more than ${DEPENDENCY_LIMITS.fetches} requests`);
		try {
			const headers = { accept: this.#source.accept };
			return this.#begin(await this.#withinSilence(fetch(url, { headers, redirect: "manual", signal: this.#stop.signal })));
		} catch (error) {
			return refusal(502, reasonOf(error as Error));
		}
	}

	async read(handle: number): Promise<Reply> {
		const reading = this.#readings.get(handle);
		if (reading === undefined) throw new Error(`it reads ${handle}, which isn't there`);
		try {
			const bytes = await this.#next(reading);
			if (bytes.byteLength === 0) this.#readings.delete(handle);
			return { head: { last: bytes.byteLength === 0 }, body: bytes };
		} catch (error) {
			this.#readings.delete(handle);
			return { head: { last: true, reason: reasonOf(error as Error) }, body: NO_BYTES };
		}
	}

	/** Ends whatever is under way. */
	[Symbol.dispose](): void {
		this.#stop.abort();
		this.#readings.clear();
	}

	/** The registry's own URL with the path in it; undefined when it leads anywhere else. */
	#urlOf({ path, of }: Pick<FetchQuestion, "path" | "of">): URL | undefined {
		const { registry, below, filesOrigin } = this.#source;
		const origin = of === "files" ? filesOrigin : new URL(registry).origin;
		if (origin === undefined) return undefined;
		if (!PATH.test(path) || path.includes("//") || /(?:^|\/|%2f)(?:\.|%2e){1,2}(?:\/|%2f|$)/i.test(path)) return undefined;
		const url = new URL(origin + path);
		return url.origin === origin && url.pathname.startsWith(of === "files" ? "/" : below) ? url : undefined;
	}

	#begin({ status, headers, body }: Response): Reply {
		if (status >= 300 && status < 400)
			return refusal(502, `it redirects to ${headers.get("location")?.slice(0, 200)}, which isn't followed`);
		const contentType = headers.get("content-type")?.slice(0, 200);
		const head = { status, ...(contentType === undefined ? {} : { contentType }) };
		if (body === null) return { head, body: NO_BYTES };
		const handle = ++this.#handles;
		const reading: Reading = { reader: body.getReader(), held: NO_BYTES, bytes: 0 };
		this.#readings.set(handle, reading);
		return { head: { ...head, handle }, body: NO_BYTES };
	}

	/** @returns no bytes when that was all @throws Error when it is too much, too slow, or breaks off */
	async #next(reading: Reading): Promise<Uint8Array> {
		if (reading.held.byteLength === 0) {
			const { done, value } = await this.#withinSilence(reading.reader.read());
			if (done) return NO_BYTES;
			reading.held = value;
			reading.bytes += value.byteLength;
			this.#bytes += value.byteLength;
			const { fetchBytes, fetchedBytes } = DEPENDENCY_LIMITS;
			if (reading.bytes > fetchBytes || this.#bytes > fetchedBytes) {
				await reading.reader.cancel();
				throw new Error(`it is more than ${reading.bytes > fetchBytes ? fetchBytes : fetchedBytes} bytes`);
			}
		}
		const bytes = reading.held.subarray(0, QUESTIONS.bodyBytes);
		reading.held = reading.held.subarray(bytes.byteLength);
		return bytes.byteLength === 0 ? await this.#next(reading) : bytes;
	}

	async #withinSilence<T>(work: Promise<T>): Promise<T> {
		const { promise, reject } = Promise.withResolvers<never>();
		const timer = setTimeout(() => reject(new Error(`it said nothing for ${this.#silenceMs} ms`)), this.#silenceMs);
		try {
			return await Promise.race([work, promise]);
		} finally {
			clearTimeout(timer);
		}
	}
}

/** A question about the registry as it comes out of a sandbox. @throws Error when it isn't one */
export function questionOf(head: unknown): BuildQuestion {
	const { kind, path, of, handle } = (head ?? {}) as { kind?: unknown; path?: unknown; of?: unknown; handle?: unknown };
	if (kind === "put") return { kind };
	if (kind === "fetch" && typeof path === "string") return { kind, path, ...(of === "files" && { of }) };
	if (kind === "read" && typeof handle === "number") return { kind, handle };
	throw new Error("it asks for something that there isn't");
}

function refusal(status: number, reason: string): Reply {
	return { head: { status, reason }, body: NO_BYTES };
}

/** fetch() says only that it failed; why is in the cause. */
function reasonOf({ message, cause }: Error): string {
	return cause instanceof Error ? cause.message : message;
}
