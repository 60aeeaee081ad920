import { BUILD_QUESTIONS, type BuildQuestion, DEPENDENCY_LIMITS, type FetchReply, type ReadReply } from "@berth/contracts";
import { type Asking, askingOf, type PackageSources } from "./package-sources.js";

/** Redirects that are followed for one request. */
const REDIRECTS = 3;
/** Characters that paths of a package registry have: names, scopes (also as %2f), versions. */
const PATH = /^\/[\w.~!*'()@+%/-]{1,512}$/;
const NO_BYTES = new Uint8Array(0);

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
	readonly mostBytes: number;
}

/**
 * One installation's way to its project's package registries: GET, paths below a registry's own URL, redirects only to
 * where the operator allows them, bounded in size, number and time. It is asked from a sandbox, so nothing else of what
 * is asked for is believed. A login is sent to its own origin and nowhere else, and never comes back.
 */
export class RegistryFetches implements Disposable {
	readonly #asking: Asking;
	readonly #sources: PackageSources;
	readonly #silenceMs: number;
	readonly #stop = new AbortController();
	readonly #readings = new Map<number, Reading>();
	#fetches = 0;
	#handles = 0;
	#bytes = 0;

	/** @param silenceMs how long a registry may say nothing */
	constructor(sources: PackageSources, silenceMs: number) {
		this.#sources = sources;
		this.#silenceMs = silenceMs;
		this.#asking = askingOf(sources);
	}

	/** Requests so far. */
	get count(): number {
		return this.#fetches;
	}

	/** Bytes that came so far. */
	get bytes(): number {
		return this.#bytes;
	}

	async fetch(host: string, path: string): Promise<Reply> {
		const url = this.#urlOf(host, path);
		if (url === undefined) return refusal(400, "it isn't a path of a registry of this project");
		if (++this.#fetches > DEPENDENCY_LIMITS.fetches) return refusal(429, `more than ${DEPENDENCY_LIMITS.fetches} requests`);
		try {
			return this.#begin(await this.#follow(url));
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

	/** The URL of a path of one of the registries; undefined when it leads anywhere else. */
	#urlOf(host: string, path: string): URL | undefined {
		if (!PATH.test(path) || path.includes("//") || /(?:^|\/|%2f)(?:\.|%2e){1,2}(?:\/|%2f|$)/i.test(path)) return undefined;
		for (const registry of this.#asking.below) {
			if (registry.host !== host) continue;
			const url = new URL(registry.origin + path);
			if (url.origin === registry.origin && url.pathname.startsWith(registry.pathname)) return url;
		}
		return undefined;
	}

	/** @throws Error when it leads where nothing is fetched from */
	async #follow(first: URL): Promise<Response> {
		const login = this.#sources.logins.get(first.origin)?.();
		const allowed = new Set([...this.#asking.below.map(({ origin }) => origin), ...this.#sources.redirects]);
		let url = first;
		for (let redirects = 0; ; redirects++) {
			const isOwn = login !== undefined && url.origin === first.origin;
			const headers = { accept: this.#asking.accept, ...(isOwn ? { authorization: login } : {}) };
			const response = await this.#withinSilence(fetch(url.href, { headers, redirect: "manual", signal: this.#stop.signal }));
			if (response.status < 300 || response.status >= 400) return response;
			await response.body?.cancel();
			const location = response.headers.get("location") ?? "";
			const next = URL.canParse(location, url.href) ? new URL(location, url) : undefined;
			if (next === undefined || !allowed.has(next.origin) || redirects >= REDIRECTS)
				throw new Error(
					`it redirects to ${(next?.origin ?? location).slice(0, 200)}, which isn't followed; BERTH_PACKAGE_REGISTRIES and BERTH_PYPI_INDEXES say where registries may be`,
				);
			url = next;
		}
	}

	#begin({ status, headers, body }: Response): Reply {
		const contentType = headers.get("content-type")?.slice(0, 200);
		const head = { status, ...(contentType === undefined ? {} : { contentType }) };
		if (body === null) return { head, body: NO_BYTES };
		const handle = ++this.#handles;
		const mostBytes = contentType?.includes("json") === true ? DEPENDENCY_LIMITS.recordBytes : DEPENDENCY_LIMITS.fetchBytes;
		const reading: Reading = { reader: body.getReader(), held: NO_BYTES, bytes: 0, mostBytes };
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
			const isLarge = reading.bytes > reading.mostBytes;
			if (isLarge || this.#bytes > DEPENDENCY_LIMITS.fetchedBytes) {
				await reading.reader.cancel();
				throw new Error(
					isLarge ? `it is more than ${reading.mostBytes} bytes` : `all of it is more than ${DEPENDENCY_LIMITS.fetchedBytes} bytes`,
				);
			}
		}
		const bytes = reading.held.subarray(0, BUILD_QUESTIONS.bodyBytes);
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
	const { kind, host, path, handle } = (head ?? {}) as Readonly<Record<"kind" | "host" | "path" | "handle", unknown>>;
	if (kind === "put") return { kind };
	if (kind === "fetch" && typeof host === "string" && typeof path === "string") return { kind, host, path };
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
