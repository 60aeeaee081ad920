import { BerthError } from "@berth/contracts";
import { type Dispatcher, request } from "undici";
import type { RegistryAccess } from "./access.js";
import { AnswerBody } from "./answer-body.js";
import { boundedText, reasonIn } from "./answer-text.js";
import { Authorization, loginRefused, REFUSED } from "./authorization.js";
import { silentMsOf, unanswered } from "./silence.js";

const MOST_REDIRECTS = 5;
const REDIRECTS: readonly number[] = [301, 302, 303, 307, 308];

/** A request to a registry. */
export interface Ask {
	readonly method: "GET" | "HEAD" | "POST" | "PUT" | "DELETE";
	/** A path below the registry, or a whole URL that it gave. */
	readonly url: string;
	readonly headers?: Readonly<Record<string, string>>;
	/** Made again when it has to be sent again. */
	readonly body?: () => Uint8Array | AsyncIterable<Uint8Array>;
	/** What is asked for, as an error names it. */
	readonly what: string;
}

export interface Answer extends Pick<Dispatcher.ResponseData, "statusCode" | "headers"> {
	readonly url: string;
	readonly body: AnswerBody;
}

/** Asks one registry, logging in when it wants that. Redirects are followed without the login, as blobs may be elsewhere. */
export class Exchange {
	readonly #access: RegistryAccess;
	readonly #authorization: Authorization;

	constructor(access: RegistryAccess, scope: string | undefined) {
		this.#access = access;
		this.#authorization = new Authorization(access, scope);
	}

	/** Whatever it answers but 401 and 403. Whoever asks reads the body, or dumps it. @throws BerthError `registry_failed` */
	async ask(ask: Ask): Promise<Answer> {
		let answer = await this.#once(ask);
		// Where a redirect leads has no claim on the login.
		if (answer.statusCode === 401 && new URL(answer.url).origin === this.#access.origin) {
			await answer.body.dump();
			await this.#authorization.answer(headerOf(answer, "www-authenticate"));
			answer = await this.#once(ask);
		}
		if (answer.statusCode !== 401 && answer.statusCode !== 403) return answer;
		await answer.body.dump();
		throw loginRefused(this.#access.host);
	}

	/** The error for an answer that isn't what was asked for. */
	async failure(answer: Answer, what: string): Promise<BerthError> {
		return this.failureOf(answer, await boundedText(answer.body), what);
	}

	/** The same where its body was read. */
	failureOf(answer: Pick<Answer, "statusCode">, text: string, what: string): BerthError {
		const reason = reasonIn(text);
		return new BerthError(
			"registry_failed",
			`${this.#access.host} answered ${answer.statusCode} to ${what}${reason === "" ? "" : `: ${reason}`}`,
			answer.statusCode < 500 ? REFUSED : {},
		);
	}

	async #once(ask: Ask): Promise<Answer> {
		let url = new URL(ask.url, this.#access.origin);
		for (let redirects = 0; ; redirects++) {
			const answer = await this.#send(ask, url);
			const location = headerOf(answer, "location");
			if (!REDIRECTS.includes(answer.statusCode) || location === undefined) return answer;
			await answer.body.dump();
			if (redirects === MOST_REDIRECTS || !URL.canParse(location, url.href))
				throw new BerthError("registry_failed", `${this.#access.host} redirects ${ask.what} in a way that can't be followed.`);
			url = new URL(location, url);
		}
	}

	async #send({ method, headers = {}, body, what }: Ask, url: URL): Promise<Answer> {
		const { host, origin } = this.#access;
		if (url.protocol !== "https:" && !(url.protocol === "http:" && origin.startsWith("http:")))
			throw new BerthError("registry_failed", `${host} sends to ${url.protocol}//${url.host}, which isn't https.`);
		const { header } = this.#authorization;
		const silentMs = silentMsOf(Number(headers["content-length"] ?? 0));
		try {
			const answer = await request(url, {
				method,
				headers: { ...headers, ...(header !== undefined && url.origin === origin ? { authorization: header } : {}) },
				...(body === undefined ? {} : { body: body() as Dispatcher.RequestOptions["body"] as never }),
				headersTimeout: silentMs,
				bodyTimeout: silentMs,
			});
			return { ...answer, url: url.href, body: new AnswerBody(answer.body, { host: url.host, what, silentMs }) };
		} catch (cause) {
			// What the body's own reader threw is its own error.
			if (cause instanceof BerthError) throw cause;
			throw new BerthError("registry_failed", `${url.host} ${unanswered(cause, what, silentMs)}`, { cause });
		}
	}
}

export function headerOf({ headers }: Pick<Answer, "headers">, name: string): string | undefined {
	const value = headers[name];
	return Array.isArray(value) ? value[0] : value;
}
