import * as z from "zod";
import { BACKGROUND_FIELDS } from "./background.js";
import { corsSchema } from "./cors.js";
import { egressHosts } from "./egress.js";
import { FOLLOW_UP_FIELDS } from "./follow-up.js";
import { IMAGE_NAME_RULE, parseImageName } from "./image-name.js";
import { nodeSelector } from "./labels.js";
import { RUNTIMES } from "./language.js";
import { FIXED_LIMITS, LIMITS, type Range } from "./limits.js";
import { poolSchema } from "./minimum.js";
import { resourceName } from "./resource-name.js";
import { RUNTIME_CLASSES } from "./runtime-class.js";
import { manifestSecret, SECRET_LIMITS, VARIABLE_NAME } from "./secret.js";
import { MIB } from "./units.js";

const between = ({ min, max }: Range, unit: string) => {
	const allowed = `a whole number of ${unit} from ${min} to ${max}`;
	return z.int(allowed).min(min, allowed).max(max, allowed);
};
const within = (range: Range, unit: string) => between(range, unit).default(range.default);
const oneOf = <const Values extends readonly string[]>(...values: Values) => z.enum(values, `one of: ${values.join(", ")}`);

const bytesOf = (text: string) => Buffer.byteLength(text);

const REUSES = "version, never or a whole number from 1 to 1000000";

const env = z
	.record(
		z.string().regex(VARIABLE_NAME, "a name is a letter or _, then letters, digits or _, 128 characters at most"),
		z.string("a value is text, in quotes").regex(/^[^\0\p{Cs}]*$/u, "a value is text without NUL and without half a surrogate pair"),
		'variables by name, as in {"NAME": "value"}',
	)
	.refine((map) => Object.keys(map).length <= FIXED_LIMITS.envCount, {
		message: `at most ${FIXED_LIMITS.envCount} variables`,
	})
	.refine((map) => bytesOf(Object.entries(map).flat().join("")) <= FIXED_LIMITS.envBytes, {
		message: `at most ${FIXED_LIMITS.envBytes} bytes of names and values`,
	})
	.default({});

/** Networks that aren't a project's own. */
const NETWORKS = ["none", "internet", "host"] as const;
const NETWORK = 'none, internet, host, {"allow": ["api.example.com"]} or {"join": "the name of a network of this project"}';

const DESCRIPTION = "text of at most 256 characters, without half a surrogate pair";
const PATH = "a relative path of 1 to 255 characters without `.`, `..` or a backslash, as in src/index.ts";
/** A path inside the source: relative, no `..`, no backslash, no control character. */
export const sourcePath = z.string(PATH).regex(/^(?!\/)(?!.*(?:^|\/)\.\.?(?:\/|$))[^\\\p{Cc}\p{Cs}]{1,255}$/u, PATH);
const PACKAGE = "a package's name, as in sharp or @scope/name";
const packageNames = z
	.array(z.string(PACKAGE).regex(/^(?:@[a-z0-9][\w.-]*\/)?[a-z0-9][\w.-]*$/i, PACKAGE), "a list of packages' names")
	.max(FIXED_LIMITS.packageNames, `at most ${FIXED_LIMITS.packageNames} packages`);
const VOLUMES = 'a list as in [{"name": "data"}, {"name": "models", "readOnly": true}]';
const MOUNTS = `at most ${FIXED_LIMITS.mounts}`;
const FILENAME = "bootstrap, or a file name, without a directory, that ends in .ts, .mts, .cts, .tsx, .js, .mjs, .cjs, .jsx or .py";

/**
 * What a version is: the settings a deploy may carry. Unknown fields are refused, so that a
 * misspelt limit is an error and not a default.
 */
export const manifestSchema = z.strictObject({
	runtime: oneOf(...RUNTIMES).default("node24"),
	/** What its sandboxes are run by; absent: the node's OCI runtime. */
	runtimeClass: oneOf(...RUNTIME_CLASSES).optional(),
	/** Labels that the nodes have which run it; absent: any does. */
	nodeSelector: nodeSelector.optional(),
	/** The file with the handler, of `custom` the program; looked for under the usual names if absent. */
	entry: sourcePath.optional(),
	/** A Dockerfile in the archive, which is what it is built with then: the function is the image that comes of it. */
	dockerfile: sourcePath.optional(),
	/** Packages of the source's dependencies that stay out of the bundle, beside those that can't be in one. */
	external: packageNames.optional(),
	/** Packages whose install scripts are run, in a sandbox without any network. */
	scripts: packageNames.optional(),
	memoryMiB: within(LIMITS.memoryMiB, "MiB"),
	cpuMilli: within(LIMITS.cpuMilli, "thousandths of a core"),
	timeoutMs: within(LIMITS.timeoutMs, "milliseconds"),
	tmpfsMiB: within(LIMITS.tmpfsMiB, "MiB"),
	/** The most that a streamed body may have, each way; `streamBytesOf` has the default. */
	streamMiB: between(LIMITS.streamMiB, "MiB").optional(),
	concurrency: within(LIMITS.concurrency, "sandboxes"),
	/** How many sandboxes it has ready always, or at some times; `concurrency` is the most. */
	pool: poolSchema.optional(),
	/** What it may talk to: nothing, the Internet, some hosts of it, the functions on a network of its project, or whatever its host may. */
	network: z
		.union([z.enum(NETWORKS), z.strictObject({ join: resourceName }), z.strictObject({ allow: egressHosts })], NETWORK)
		.default("none"),
	/** Volumes of its project, each at /mnt/<name>. */
	volumes: z
		.array(z.strictObject({ name: resourceName, readOnly: z.boolean("true or false").optional() }, VOLUMES), VOLUMES)
		.max(FIXED_LIMITS.mounts, MOUNTS)
		.optional(),
	/** Directories of the host that the operator has names for, read-only, each at /mnt/<name>. */
	binds: z.array(resourceName, "a list of the names that the operator has given").max(FIXED_LIMITS.mounts, MOUNTS).optional(),
	env,
	/** Secrets of its project: variables of their names, and headers of requests to hosts, which it never has. */
	secrets: z
		.array(manifestSecret, 'a list of secrets, as in ["STRIPE_KEY"]')
		.max(SECRET_LIMITS.ofVersion, `at most ${SECRET_LIMITS.ofVersion} secrets`)
		.optional(),
	/** How often a sandbox may be used: all invocations of its version, one, or n. */
	reuse: z.union([z.enum(["version", "never"]), z.int(REUSES).min(1, REUSES).max(1_000_000, REUSES)], REUSES).default("version"),
	/** `fresh` empties /tmp between invocations. */
	scratch: oneOf("keep", "fresh").default("keep"),
	/** Whether `/fn/…` of this function answers without an API key. */
	public: z.boolean("true or false").default(false),
	/** Which other origins' pages may use it at `/fn/…` from a browser; absent: what the function says itself. */
	cors: corsSchema.optional(),
	/** What there is to say of invocations that nobody waits for. */
	background: z.strictObject({ ...BACKGROUND_FIELDS, ...FOLLOW_UP_FIELDS }, "an object with fields of background work").optional(),
	description: z
		.string(DESCRIPTION)
		.max(256, DESCRIPTION)
		.regex(/^\P{Cs}*$/u, DESCRIPTION)
		.optional(),
});

/** A validated manifest with every default filled in. */
export type Manifest = Readonly<z.output<typeof manifestSchema>>;
/** What a version may talk to. */
export type NetworkChoice = Manifest["network"];
/** A manifest as a person writes it. */
export type ManifestInput = z.input<typeof manifestSchema>;

/** A deploy with its source in the JSON body: a manifest, `source`, and optionally `filename`. */
export const inlineDeploySchema = manifestSchema.omit({ entry: true, dockerfile: true }).extend({
	source: z
		.string("the source's text")
		.min(1, "the source's text, which is empty here")
		.refine((text) => bytesOf(text) <= FIXED_LIMITS.sourceBytes, {
			message: `at most ${FIXED_LIMITS.sourceBytes} bytes; a larger one can be sent as an archive`,
		}),
	/** Names the language: `.ts`, `.mts`, `.cts`, `.tsx`, `.js`, `.mjs`, `.cjs`, `.jsx`, `.py`, or `bootstrap`; DEFAULT_FILENAME of the runtime's if absent. */
	filename: z
		.string(FILENAME)
		.regex(/^(?:[^/\\\p{Cc}\p{Cs}]{1,250}\.(?:[mc]?[jt]s|[jt]sx|py)|bootstrap)$/u, FILENAME)
		.optional(),
});
/** The manifest of an image. */
export const imageManifestSchema = manifestSchema.omit({ entry: true, dockerfile: true, external: true, scripts: true }).extend({
	runtime: z.literal("custom", "custom: an image brings its own language"),
});

/** The manifest of an archive with a Dockerfile. */
export const dockerfileManifestSchema = imageManifestSchema.extend({ dockerfile: sourcePath });

/** A deploy of an image in a registry: its manifest, and `image`. */
export const imageDeploySchema = imageManifestSchema.extend({
	image: z.string(IMAGE_NAME_RULE).refine((text) => parseImageName(text) !== undefined, { message: IMAGE_NAME_RULE }),
});
export type ImageDeployInput = Omit<z.input<typeof imageDeploySchema>, "runtime">;
export type InlineDeployInput = z.input<typeof inlineDeploySchema>;

/** The name of the network of functions that a version is on. */
export function joinedNetwork(network: NetworkChoice): string | undefined {
	return typeof network === "object" && "join" in network ? network.join : undefined;
}

/** The hosts that a version may reach, where it is given them by name. */
export function allowedHosts(network: NetworkChoice): readonly string[] | undefined {
	return typeof network === "object" && "allow" in network ? network.allow : undefined;
}

/** The most bytes that a version's streamed bodies may have, each way. */
export function streamBytesOf({ streamMiB = LIMITS.streamMiB.default }: Pick<Manifest, "streamMiB">): number {
	return streamMiB * MIB;
}
