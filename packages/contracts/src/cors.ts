import * as z from "zod";

/** Methods that another origin's page may be let use; a preflight asks for the others. */
const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] as const;
/** What needs no preflight (fetch standard, 2.2.1), and what is allowed where nothing is said. */
export const DEFAULT_CORS_METHODS: readonly string[] = ["GET", "HEAD", "POST"];
export const CORS_LIMITS = { origins: 100, headers: 100, maxAgeS: 86_400 } as const;

const ORIGIN = 'an origin as a browser sends it, as in https://app.example.com or http://localhost:3000, or "*" alone for all of them';
const ONE_ORIGIN = `one origin, without a wildcard in it: name each, as in https://app.example.com, or "*" alone for all of them`;
const METHOD = `one of: ${METHODS.join(", ")}`;
const HEADER = 'the name of a header, or "*" alone for all of them';
const AGE = `seconds, a whole number from 0 to ${CORS_LIMITS.maxAgeS}`;

const origin = z
	.string(ORIGIN)
	.refine((text) => text === "*" || isOrigin(text), { message: ORIGIN, abort: true })
	.refine((text) => text === "*" || !text.includes("*"), { message: ONE_ORIGIN });
const headerName = z.string(HEADER).regex(/^(?:\*|[!#$%&'+\-.^_`|~0-9A-Za-z]{1,100})$/, HEADER);
const headerNames = z.array(headerName, "a list of headers' names").max(CORS_LIMITS.headers, `at most ${CORS_LIMITS.headers} headers`);

/** Which other origins' pages may use a public function from a browser, and how. */
export const corsSchema = z.strictObject(
	{
		origins: z
			.array(origin, "a list of origins")
			.min(1, "at least one origin")
			.max(CORS_LIMITS.origins, `at most ${CORS_LIMITS.origins} origins`),
		/** Default: GET, HEAD, POST. */
		methods: z
			.array(z.enum(METHODS, METHOD), "a list of methods")
			.min(1, "at least one method")
			.max(METHODS.length, "each method once")
			.optional(),
		/** Headers that pages may send beyond those that any may. Default: none. */
		headers: headerNames.optional(),
		/** Headers of answers that pages may read beyond those that any may. Default: none. */
		exposeHeaders: headerNames.optional(),
		/** Whether cookies and logins come along. */
		credentials: z.boolean("true or false").optional(),
		/** How long a browser may remember what a preflight was answered; default: its own. */
		maxAgeS: z.int(AGE).min(0, AGE).max(CORS_LIMITS.maxAgeS, AGE).optional(),
	},
	'an object, as in {"origins": ["https://app.example.com"]}',
);
export type Cors = Readonly<z.output<typeof corsSchema>>;

/** What can't be had together: a field, and why. */
export function corsFault(cors: Cors): { readonly field: string; readonly message: string } | undefined {
	const lists = (["origins", "headers", "exposeHeaders"] as const).map((field) => ({ field, list: cors[field] ?? [] }));
	for (const { field, list } of lists) {
		if (!list.includes("*")) continue;
		if (list.length > 1) return { field, message: `"*" is all of them; leave the others out, or "*"` };
		if (cors.credentials === true) return { field, message: `"*" can't be had with credentials (the fetch standard, 3.3.5): name them` };
	}
	return undefined;
}

function isOrigin(text: string): boolean {
	return /^https?:\/\//.test(text) && URL.canParse(text) && new URL(text).origin === text;
}
