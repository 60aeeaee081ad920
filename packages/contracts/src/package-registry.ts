import * as z from "zod";

/** Scopes that one registry may have, of one project. */
const MOST_SCOPES = 50;
const SCOPE = "a scope of npm's, as in @acme";
const SECRET = "1 to 4096 printable characters without a space";
const USERNAME = "1 to 256 printable characters without a space and without a colon";

const secret = z
	.string(SECRET)
	.regex(/^[!-~]{1,4096}$/, SECRET)
	.optional();

/** `PUT /v1/registries/{host}`: whose packages it has, and how to log in there: with a token, or a name and a password. */
export const packageRegistryInputSchema = z.strictObject({
	scopes: z
		.array(z.string(SCOPE).regex(/^@[a-z0-9~-][\w.~-]{0,213}$/i, SCOPE), "a list of scopes")
		.max(MOST_SCOPES, `at most ${MOST_SCOPES} scopes`)
		.default([]),
	token: secret,
	username: z
		.string(USERNAME)
		.regex(/^[!-9;-~]{1,256}$/, USERNAME)
		.optional(),
	password: secret,
});
/** The same, checked. */
export type PackageRegistrySettings = z.output<typeof packageRegistryInputSchema>;
export type PackageRegistryInput = z.input<typeof packageRegistryInputSchema>;

/** A package registry of a project. What it is logged in with never comes back. */
export interface PackageRegistryEntry {
	/** As in its URL, with a port that isn't the usual one. */
	readonly host: string;
	readonly scopes: readonly string[];
	readonly login: "token" | "password" | "none";
	/** Of a login by password. */
	readonly username?: string;
	/** ISO 8601. */
	readonly updatedAt: string;
}

/** `GET /v1/registries` */
export interface PackageRegistryList {
	readonly registries: readonly PackageRegistryEntry[];
	/** Hosts that may be set: those of this installation. */
	readonly allowed: readonly string[];
}
