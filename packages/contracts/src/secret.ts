import * as z from "zod";

/** What secrets may be. */
export const SECRET_LIMITS = {
	/** Secrets of one project. */
	count: 200,
	/** A value, bytes. */
	valueBytes: 8192,
	/** Secrets of one version. */
	ofVersion: 16,
} as const;

/** What a variable may be called, and so a secret. */
export const VARIABLE_NAME = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/;
export const SECRET_NAME_RULE = "a secret's name is a letter or _, then letters, digits or _, 128 characters at most, as in STRIPE_KEY";
const VALUE = `text of 1 to ${SECRET_LIMITS.valueBytes} bytes, without control characters other than tab and line breaks, and without half a surrogate pair`;

export const secretName = z.string(SECRET_NAME_RULE).regex(VARIABLE_NAME, SECRET_NAME_RULE);

/** Variables that tell functions about themselves. */
export const BERTHS_VARIABLE = /^BERTH_/;
/** Variables by which runtimes, loaders and the programs that they start find their way. */
const STEERING = /^(?:PATH|HOME|TMPDIR|LANG|NODE_OPTIONS|NODE_PATH|NODE_EXTRA_CA_CERTS|PYTHONPATH|PYTHONHOME|PYTHONSTARTUP|LD_.*)$/;

/** Why a secret of this name can't be a variable (a host may be sent it all the same); undefined when it can. */
export function secretVariableFault(name: string): string | undefined {
	if (BERTHS_VARIABLE.test(name)) return `${name} can't be a variable: names that begin with BERTH_ are Berth's; name the secret otherwise`;
	if (!STEERING.test(name)) return undefined;
	return `${name} can't be a variable of a secret's: runtimes and the programs they start go by it; name the secret otherwise, or put what isn't secret into env`;
}

/** `PUT /v1/secrets/{name}`. No message has the value. */
export const secretInputSchema = z.strictObject({
	value: z
		.string(VALUE)
		.min(1, VALUE)
		.regex(/^(?:[^\p{Cc}\p{Cs}]|[\t\r\n])*$/u, VALUE)
		.refine((text) => Buffer.byteLength(text) <= SECRET_LIMITS.valueBytes, VALUE),
});
export type SecretInput = z.input<typeof secretInputSchema>;

/** A secret, which never comes back. */
export interface Secret {
	readonly name: string;
	/** ISO 8601; `updatedAt` is when it got the value that it has. */
	readonly createdAt: string;
	readonly updatedAt: string;
	/** Functions with a version that has it and hasn't failed, by name. */
	readonly functions: readonly string[];
	/** Hosts that it is sent to in the name of such functions. */
	readonly bindings: readonly SecretBinding[];
}

/** Where a secret goes that its function never has. */
export interface SecretBinding {
	readonly function: string;
	/** With its port, where the manifest names one. */
	readonly host: string;
	readonly header: string;
}

/** `GET /v1/secrets` */
export interface SecretList {
	readonly secrets: readonly Secret[];
}

const ENTRY =
	'the name of a secret, as in "STRIPE_KEY", or what is sent to a host: {"name": "STRIPE_KEY", "host": "api.example.com", "header": "authorization", "prefix": "Bearer "}';
const HOST = "a host's name as in api.example.com, without a wildcard, and with its port if that isn't 443";
const HOST_PATTERN =
	/^(?=.{1,253}(?::|$))(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?(?::[1-9]\d{0,4})?$/;
const HEADER = "the name of a header of requests, as in authorization, that isn't about the connection or the body";
/** Of the connection, or of how a request is read. */
const NO_HEADERS =
	/^(?:host|connection|keep-alive|proxy-.*|te|trailer|transfer-encoding|content-(?:length|encoding|type)|upgrade|expect|berth-.*)$/;
const PREFIX = "up to 64 printable characters, as in `Bearer `";

/** What a manifest may have in `secrets`. */
export const manifestSecret = z.union(
	[
		secretName,
		z.strictObject({
			name: secretName,
			host: z
				.string(HOST)
				.toLowerCase()
				.regex(HOST_PATTERN, HOST)
				.refine((host) => portIn(host) < 65_536, HOST),
			header: z
				.string(HEADER)
				.toLowerCase()
				.regex(/^[a-z0-9!#$%&'*+.^_`|~-]{1,64}$/, HEADER)
				.refine((header) => !NO_HEADERS.test(header), HEADER),
			prefix: z
				.string(PREFIX)
				.regex(/^[\x20-\x7e]{0,64}$/, PREFIX)
				.optional(),
		}),
	],
	ENTRY,
);
export type ManifestSecret = z.output<typeof manifestSecret>;

/** A secret that goes to a host as a header. */
export interface BoundSecret {
	readonly name: string;
	readonly host: string;
	readonly port: number;
	readonly header: string;
	readonly prefix: string;
}

/** Why a value can't be a header, which HTTP sends as it is; undefined when it can. */
export function headerValueFault(value: string): string | undefined {
	return /^[\t\x20-\x7e\x80-\xff]*$/.test(value) ? undefined : "it has a line break, or what isn't Latin-1";
}

interface WithSecrets {
	readonly secrets?: readonly ManifestSecret[] | undefined;
}

/** The names of what a manifest has in `secrets`, each once. */
export function secretNames({ secrets = [] }: WithSecrets): readonly string[] {
	return [...new Set(secrets.map((one) => (typeof one === "string" ? one : one.name)))];
}

/** Those that are variables. */
export function secretVariables({ secrets = [] }: WithSecrets): readonly string[] {
	return secrets.filter((one) => typeof one === "string");
}

/** Those that go to hosts. */
export function boundSecrets({ secrets = [] }: WithSecrets): readonly BoundSecret[] {
	return secrets
		.filter((one) => typeof one !== "string")
		.map(({ name, host, header, prefix = "" }) => ({ name, host: host.split(":", 1)[0] as string, port: portIn(host), header, prefix }));
}

/** Without a port it is that of TLS: a secret goes over nothing else, but where the manifest says 80. */
function portIn(host: string): number {
	return Number(host.split(":")[1] ?? 443);
}

/** The port of HTTP without TLS. */
export const PLAIN_PORT = 80;
