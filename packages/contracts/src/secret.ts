import { z } from "zod";

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
}

/** `GET /v1/secrets` */
export interface SecretList {
	readonly secrets: readonly Secret[];
}

/** The names of what a manifest has in `secrets`. */
export function secretNames({ secrets = [] }: { readonly secrets?: readonly string[] | undefined }): readonly string[] {
	return secrets;
}
