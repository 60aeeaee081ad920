import { isNetwork, type Labels, NAME_PATTERN, parseImageName, parseLabels, WAIVABLE_LIMITS, type WaivableLimit } from "@berth/contracts";
import * as z from "zod";

/** An OCI registry: host and port as images are named, origin, and the login. */
export interface RegistryAccess {
	readonly host: string;
	readonly origin: string;
	readonly login?: { readonly username: string; readonly password: string };
}

/** A repository of one. */
export interface RepositoryPlace {
	readonly host: string;
	readonly name: string;
}

/** Those parts of a list that are wrong. */
const wrongOnes = (parts: readonly string[]) => parts.map((part) => JSON.stringify(part.trim())).join(", ");

const REGISTRIES = "https://host or http://host, with name:password@ before the host where a login is wanted, several with commas between";

/** A registry as the settings name it; its password percent-encoded where it has to be. */
function registryOf(text: string): RegistryAccess | undefined {
	if (!URL.canParse(text)) return undefined;
	const { protocol, host, origin, username, password, pathname, search, hash } = new URL(text);
	const isBare = pathname === "/" && search === "" && hash === "" && (username === "") === (password === "");
	if (!/^https?:$/.test(protocol) || host === "" || !isBare) return undefined;
	if (username === "") return Object.freeze({ host, origin });
	try {
		return Object.freeze({ host, origin, login: { username: decodeURIComponent(username), password: decodeURIComponent(password) } });
	} catch {
		// A % that begins no escape.
		return undefined;
	}
}

export const registries = z.string().transform((text, context): readonly RegistryAccess[] => {
	const found = text.split(",").map((part) => registryOf(part.trim()));
	if (found.every((one) => one !== undefined)) return found;
	context.addIssue(REGISTRIES);
	return z.NEVER;
});

export const repository = z.string().transform((text, context): RepositoryPlace => {
	const name = parseImageName(`${text}:x`);
	if (name !== undefined && name.reference === "x") return Object.freeze({ host: name.host, name: name.repository });
	context.addIssue("registry.example.com/path: a host of BERTH_REGISTRIES and a repository, without a tag");
	return z.NEVER;
});

const PACKAGE_REGISTRIES = "https://host/ or http://host/, perhaps with a path, without a name or password, several with commas between";
export const packageRegistries = z.string().transform((text, context): readonly string[] => {
	const urls = text.split(",").map((part) => `${part.trim().replace(/\/+$/, "")}/`);
	const hosts = urls.map((url) =>
		/^https?:\/\/[^/?#@\s]+(?:\/[\w.~%-]+)*\/$/.test(url) && URL.canParse(url) ? new URL(url).host : undefined,
	);
	if (hosts.every((host) => host !== undefined) && new Set(hosts).size === hosts.length) return urls;
	context.addIssue(PACKAGE_REGISTRIES);
	return z.NEVER;
});

const BINDS = "name=/directory, several with commas between; a name is a lower-case letter, then lower-case letters, digits or hyphens";
export const binds = z.string().transform((text, context): Readonly<Record<string, string>> => {
	const pairs = text.split(",").map((part) => /^([^=]+)=(\/.*)$/.exec(part.trim())?.slice(1) as [string, string] | undefined);
	const names = pairs.map((pair) => pair?.[0] ?? "");
	if (names.every((name) => NAME_PATTERN.test(name)) && new Set(names).size === names.length)
		return Object.fromEntries(pairs as [string, string][]);
	context.addIssue(BINDS);
	return z.NEVER;
});

export const labels = z.string().transform((text, context): Labels => {
	const parsed = parseLabels(text);
	if (typeof parsed !== "string") return parsed;
	context.addIssue(`${parsed}; several with commas between`);
	return z.NEVER;
});

const HOSTS = "host or host:port, an IPv6 address in brackets, several with commas between";
export const hosts = z.string().transform((text, context): readonly string[] => {
	const found = text.split(",").map((part) => hostOf(part.trim()));
	if (found.every((one) => one !== undefined)) return found;
	const wrong = text.split(",").filter((_, at) => found[at] === undefined);
	context.addIssue(`${wrongOnes(wrong)} is no host: ${HOSTS}`);
	return z.NEVER;
});

/** As a URL has it, the port kept. */
function hostOf(text: string): string | undefined {
	if (!/^(?:\[[\da-fA-F:.]+\]|[^/?#@\s:[\]]+)(?::\d{1,5})?$/.test(text) || !URL.canParse(`http://${text}`)) return undefined;
	const { hostname } = new URL(`http://${text}`);
	const [port] = /:\d{1,5}$/.exec(text) ?? [];
	return port === undefined ? hostname : `${hostname}${port}`;
}

const NETWORKS = "addresses and networks, as 192.0.2.7 or 10.0.0.0/8, several with commas between";
export const networks = z.string().transform((text, context): readonly string[] => {
	const found = text.split(",").map((part) => part.trim());
	const wrong = found.filter((one) => !isNetwork(one));
	if (wrong.length === 0) return found;
	context.addIssue(`${wrongOnes(wrong)} is no address or network: ${NETWORKS}`);
	return z.NEVER;
});

export const waivedLimits = z.string().transform((text, context): readonly WaivableLimit[] => {
	const named = text.split(",").map((part) => part.trim());
	const known = WAIVABLE_LIMITS.filter((limit) => named.includes(limit));
	const wrong = named.filter((one) => !WAIVABLE_LIMITS.some((limit) => limit === one));
	if (wrong.length === 0) return known;
	context.addIssue(`${wrongOnes(wrong)} isn't one of ${WAIVABLE_LIMITS.join(", ")}; several with commas between`);
	return z.NEVER;
});
