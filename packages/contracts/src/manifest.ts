import { z } from "zod";
import { FIXED_LIMITS, LIMITS, type Range } from "./limits.js";

/** Language environments. */
export const RUNTIMES = ["node24", "node22"] as const;
export type Runtime = (typeof RUNTIMES)[number];

const within = ({ min, max, default: standard }: Range) => z.int().min(min).max(max).default(standard);

const bytesOf = (text: string) => Buffer.byteLength(text);

const ENV_NAME = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/;

const env = z
	.record(
		z.string().regex(ENV_NAME, "a name is a letter or _, then letters, digits or _"),
		z.string().regex(/^[^\0]*$/, "a value has no NUL"),
	)
	.refine((map) => Object.keys(map).length <= FIXED_LIMITS.envCount, {
		message: `at most ${FIXED_LIMITS.envCount} variables`,
	})
	.refine((map) => bytesOf(Object.entries(map).flat().join("")) <= FIXED_LIMITS.envBytes, {
		message: `at most ${FIXED_LIMITS.envBytes} bytes of names and values`,
	})
	.default({});

/** A path inside the source: relative, no `..`, no backslash, no control character. */
export const sourcePath = z
	.string()
	.min(1)
	.max(255)
	.regex(/^(?!\/)(?!.*(?:^|\/)\.\.?(?:\/|$))[^\\\p{Cc}]+$/u, "a relative path without `..`");

/**
 * What a version is: the settings a deploy may carry. Unknown fields are refused, so that a
 * misspelt limit is an error and not a default.
 */
export const manifestSchema = z.strictObject({
	runtime: z.enum(RUNTIMES).default("node24"),
	/** The file with the handler; looked for under the usual names if absent. */
	entry: sourcePath.optional(),
	memoryMiB: within(LIMITS.memoryMiB),
	cpuMilli: within(LIMITS.cpuMilli),
	timeoutMs: within(LIMITS.timeoutMs),
	tmpfsMiB: within(LIMITS.tmpfsMiB),
	concurrency: within(LIMITS.concurrency),
	/** Outbound network. Only `none` in this version. */
	network: z.enum(["none"]).default("none"),
	env,
	/** How often a sandbox may be used: all invocations of its version, one, or n. */
	reuse: z.union([z.enum(["version", "never"]), z.int().min(1).max(1_000_000)]).default("version"),
	/** `fresh` empties /tmp between invocations. */
	scratch: z.enum(["keep", "fresh"]).default("keep"),
	/** Whether `/fn/…` of this function answers without an API key. */
	public: z.boolean().default(false),
	description: z.string().max(256).optional(),
});

/** A validated manifest with every default filled in. */
export type Manifest = Readonly<z.output<typeof manifestSchema>>;
/** A manifest as a person writes it. */
export type ManifestInput = z.input<typeof manifestSchema>;

/** A deploy with its source in the JSON body: a manifest, `source`, and optionally `filename`. */
export const inlineDeploySchema = manifestSchema.omit({ entry: true }).extend({
	source: z
		.string()
		.min(1)
		.refine((text) => bytesOf(text) <= FIXED_LIMITS.sourceBytes, { message: `at most ${FIXED_LIMITS.sourceBytes} bytes; send an archive` }),
	/** Names the language: `.ts`, `.mts`, `.cts`, `.tsx`, `.js`, `.mjs`, `.cjs`, `.jsx`. */
	filename: sourcePath
		.regex(/^[^/]+\.(?:[mc]?[jt]s|[jt]sx)$/, "a file name that ends in .ts, .mts, .cts, .tsx, .js, .mjs, .cjs or .jsx")
		.default("index.ts"),
});
export type InlineDeployInput = z.input<typeof inlineDeploySchema>;
