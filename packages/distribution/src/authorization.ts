import { BerthError } from "@berth/contracts";
import { request } from "undici";
import type { RegistryAccess } from "./access.js";
import { AnswerBody } from "./answer-body.js";
import { boundedText, cleaned } from "./answer-text.js";
import { silentMsOf, unanswered } from "./silence.js";

const ANSWER_MS = silentMsOf(0);

/** Marks an error of a registry that answered and wouldn't, which no waiting mends. */
export const REFUSED = { extra: { refused: true } } as const;

/** How a registry wants to be asked (`WWW-Authenticate`): with name and password, or with a token from elsewhere. */
type Challenge = { readonly scheme: "basic" } | { readonly scheme: "bearer"; readonly realm: string; readonly service?: string };

/** Logs in to one repository of a registry, as it asks for it. */
export class Authorization {
	readonly #access: RegistryAccess;
	readonly #scope: string | undefined;
	#header: string | undefined;

	/** @param scope of the token: `repository:team/hello:pull`; undefined for the registry itself */
	constructor(access: RegistryAccess, scope: string | undefined) {
		this.#access = access;
		this.#scope = scope;
	}

	/** The header to send; undefined until the registry has asked for one. */
	get header(): string | undefined {
		return this.#header;
	}

	/**
	 * Takes up a 401's challenge. @throws BerthError `registry_failed` when there is nothing to answer it with
	 */
	async answer(challenge: string | undefined): Promise<void> {
		const { host, login } = this.#access;
		const wanted = readChallenge(challenge);
		if (wanted === undefined) throw new BerthError("registry_failed", `${host} wants a login of a kind that Berth doesn't know.`);
		if (wanted.scheme === "bearer") {
			this.#header = `Bearer ${await this.#token(wanted)}`;
			return;
		}
		if (login === undefined) throw loginMissing(host);
		this.#header = basic(login);
	}

	/** A token of the server that the registry names (distribution's token specification). */
	async #token({ realm, service }: Extract<Challenge, { scheme: "bearer" }>): Promise<string> {
		const { host, origin, login } = this.#access;
		const url = realmUrl(realm, origin);
		if (url === undefined) throw new BerthError("registry_failed", `${host} sends to ${cleaned(realm)} for a token, which isn't https.`);
		if (service !== undefined) url.searchParams.set("service", service);
		if (this.#scope !== undefined) url.searchParams.set("scope", this.#scope);
		const asked = { host: url.host, what: `a token for ${host}`, silentMs: ANSWER_MS };
		const { statusCode, body } = await request(url, {
			headers: login === undefined ? {} : { authorization: basic(login) },
			headersTimeout: ANSWER_MS,
			bodyTimeout: ANSWER_MS,
		}).catch((cause: unknown) => {
			throw new BerthError("registry_failed", `${url.host} ${unanswered(cause, asked.what, ANSWER_MS)}`, { cause });
		});
		const text = await boundedText(new AnswerBody(body, asked));
		if (statusCode === 401 || statusCode === 403) throw login === undefined ? loginMissing(host) : loginRefused(host);
		const token = statusCode === 200 ? tokenIn(text) : undefined;
		if (token === undefined) throw new BerthError("registry_failed", `${url.host} gave no token for ${host} (HTTP ${statusCode}).`);
		return token;
	}
}

export function loginRefused(host: string): BerthError {
	return new BerthError(
		"registry_failed",
		`${host} doesn't take the name and password that BERTH_REGISTRIES has for it, or they don't allow this.`,
		REFUSED,
	);
}

function loginMissing(host: string): BerthError {
	return new BerthError(
		"registry_failed",
		`${host} wants a login, or has no such repository: put name and password into BERTH_REGISTRIES.`,
		REFUSED,
	);
}

function basic({ username, password }: NonNullable<RegistryAccess["login"]>): string {
	return `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
}

/** The first challenge that is known. */
function readChallenge(header: string | undefined): Challenge | undefined {
	const [, scheme = "", rest = ""] = /^\s*(\w+)\s*(.*)$/s.exec(header ?? "") ?? [];
	if (scheme.toLowerCase() === "basic") return { scheme: "basic" };
	if (scheme.toLowerCase() !== "bearer") return undefined;
	const parameters = new Map([...rest.matchAll(/(\w+)="([^"]*)"/g)].map(([, name = "", value = ""]) => [name.toLowerCase(), value]));
	const [realm, service] = [parameters.get("realm"), parameters.get("service")];
	if (realm === undefined) return undefined;
	return { scheme: "bearer", realm, ...(service === undefined ? {} : { service }) };
}

/** Passwords go over https, unless the registry itself is spoken to without. */
function realmUrl(realm: string, origin: string): URL | undefined {
	if (!URL.canParse(realm)) return undefined;
	const url = new URL(realm);
	return url.protocol === "https:" || (url.protocol === "http:" && origin.startsWith("http:")) ? url : undefined;
}

function tokenIn(text: string): string | undefined {
	try {
		const { token, access_token: other } = JSON.parse(text) as { token?: unknown; access_token?: unknown };
		const found = token ?? other;
		// A header is what it becomes.
		return typeof found === "string" && /^[\x21-\x7e]+$/.test(found) ? found : undefined;
	} catch {
		return undefined;
	}
}
