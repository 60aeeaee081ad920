/** What stands where something was. */
export const LEFT_OUT = "(left out)";
/** Shorter than this nothing is looked for: it would be found in words. */
const LEAST_LENGTH = 6;

/** What a secret looks like, for those that nobody on this machine can name: tenants' are sealed. */
const LOOKS: readonly (readonly [RegExp, string])[] = [
	[/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g, LEFT_OUT],
	[/\b(?:berth|whsec|sk|ghp|glpat|npm|pypi|xox[a-z])[_-][A-Za-z0-9_+/=-]{16,}/g, LEFT_OUT],
	[/\bv1\.[0-9a-f]{8}\.[A-Za-z0-9_+/=.-]+/g, LEFT_OUT],
	[/:\/\/[^\s/"'@]*@/g, `://${LEFT_OUT}@`],
	[/\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}/gi, `$1 ${LEFT_OUT}`],
	[
		/((?:pass(?:word|wd)?|secret|token|api[-_]?key|authorization|credential)s?["']?\s*[:=]\s*)(?:"[^"]*"|'[^']*'|[^\s"',}&]+)/gi,
		`$1${LEFT_OUT}`,
	],
	// A server repeats what it was sent; a hook's and a callback's URL open it.
	[/with args beginning with:.*$/gm, `with args ${LEFT_OUT}`],
	[/(\bhttps?:\/\/[^\s/"'?]+)[/?][^\s"')]*/g, `$1/${LEFT_OUT}`],
	[/(\/hooks?\/)[^\s"'/?]+/g, `$1${LEFT_OUT}`],
];
/** A run that no word is; ids of ours and digests of images are known by what stands before. */
const TOKEN =
	/(?<![A-Za-z0-9_+=-])(?!(?:inv|gw|node|sb|bld|job|req|tr|evt)_[0-9a-z]+(?![A-Za-z0-9_-]))(?<!sha256:)(?=[A-Za-z0-9_+=-]*\d)(?=[A-Za-z0-9_+=-]*[A-Za-z])[A-Za-z0-9_+=-]{24,}/g;

/** Takes secrets out of text: those that are known, in every form that they are written in, and what looks like one. */
export class Redaction {
	readonly #known: readonly string[];

	/** @param secrets as they are used */
	constructor(secrets: readonly string[]) {
		const forms = secrets.filter(({ length }) => length >= LEAST_LENGTH).flatMap(formsOf);
		this.#known = [...new Set(forms)].sort((a, b) => b.length - a.length);
	}

	/** Without the secrets that are known. */
	known(text: string): string {
		return this.#known.reduce((rest, secret) => rest.replaceAll(secret, LEFT_OUT), text);
	}

	/** Without those, and without what looks like one: for what a process says in its own words. */
	said(text: string): string {
		const rest = LOOKS.reduce((sofar, [look, instead]) => sofar.replaceAll(look, instead), this.known(text));
		return rest.replaceAll(TOKEN, LEFT_OUT);
	}
}

function formsOf(secret: string): readonly string[] {
	const bytes = Buffer.from(secret);
	const base64 = bytes.toString("base64").replace(/=+$/, "");
	const hex = bytes.toString("hex");
	const escaped = JSON.stringify(secret).slice(1, -1);
	return [secret, escaped, encodeURIComponent(secret), base64, bytes.toString("base64url"), hex, hex.toUpperCase()];
}
