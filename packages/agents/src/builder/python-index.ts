import type { Translation } from "./registry-bridge.js";

/** In a host's place on the bridge: files of where nothing is fetched from. */
const ELSEWHERE = "-elsewhere";
const JSON_PAGE = /^application\/vnd\.pypi\.simple\.v1\+json\b/i;
const HTML_PAGE = /^(?:application\/vnd\.pypi\.simple\.v1\+html|text\/html)\b/i;
const HREF = /(<a\b[^>]*?\bhref\s*=\s*)(?:"([^"]*)"|'([^']*)')/gi;

/** As an index compares names (PEP 503). */
export function normalName(name: string): string {
	return name.replace(/[-_.]+/g, "-").toLowerCase();
}

/** An index of Python packages behind the bridge: its pages say where its files are, which is nowhere that a sandbox can reach. */
export class PythonIndex implements Translation {
	readonly #index: URL;
	readonly #files: URL | undefined;

	constructor(index: string, filesOrigin: string | undefined) {
		this.#index = new URL(index);
		this.#files = filesOrigin === undefined ? undefined : new URL(filesOrigin);
	}

	refusal(host: string, path: string): string | undefined {
		if (host !== ELSEWHERE) return undefined;
		const [, from = "", file = ""] = path.split("/");
		return `${this.#index.host} has ${file} at ${from}, from where nothing is fetched`;
	}

	isPage(contentType: string): boolean {
		return JSON_PAGE.test(contentType) || HTML_PAGE.test(contentType);
	}

	page(path: string, contentType: string, text: string): string {
		const page = new URL(path, this.#index);
		if (JSON_PAGE.test(contentType)) return this.#json(text, page);
		return text.replace(HREF, (_, before: string, double?: string, single?: string) => {
			const href = (double ?? single ?? "").replace(/&amp;/g, "&");
			return `${before}"${this.#linkTo(href, page).replace(/&/g, "&amp;").replace(/"/g, "&quot;")}"`;
		});
	}

	/** PEP 691. @throws SyntaxError when it isn't JSON */
	#json(text: string, page: URL): string {
		const project = JSON.parse(text) as { readonly files?: readonly { readonly url?: unknown }[] };
		const files = (project.files ?? []).map((file) => ({ ...file, url: this.#linkTo(String(file.url), page) }));
		return JSON.stringify({ ...project, files });
	}

	#linkTo(link: string, page: URL): string {
		if (!URL.canParse(link, page.href)) return link;
		const url = new URL(link, page);
		const path = `${url.pathname}${url.search}${url.hash}`;
		if (url.origin === this.#index.origin || url.origin === this.#files?.origin) return `/${url.host}${path}`;
		return `/${ELSEWHERE}/${url.host}/${url.pathname.slice(url.pathname.lastIndexOf("/") + 1)}${url.hash}`;
	}
}
