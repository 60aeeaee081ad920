import * as z from "zod";
import { IMAGE_LIMITS } from "./limits.js";
import { manifestSchema, sourcePath } from "./manifest.js";
import { MIB } from "./units.js";

/** What an image may have that comes from a registry, bytes: its manifest or config, a layer as it is unpacked. */
export const IMAGE_BOUNDS = {
	documentBytes: MIB,
	layerBytes: 1024 * MIB,
	layers: 16,
} as const;

const digest = z.templateLiteral(["sha256:", z.string().regex(/^[0-9a-f]{64}$/)], "a sha256 digest");

const descriptor = z.object({
	mediaType: z.string(),
	digest,
	size: z.int().min(0).max(IMAGE_BOUNDS.layerBytes, `at most ${IMAGE_BOUNDS.layerBytes} bytes`),
});

/** Media types that an image's parts may have, and whether the bytes are gzipped: OCI's, and Docker's for the same. */
export const CONTENT_TYPES = {
	manifest: ["application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"],
	config: ["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"],
	layer: {
		"application/vnd.oci.image.layer.v1.tar": "plain",
		"application/vnd.oci.image.layer.v1.tar+gzip": "gzip",
		"application/vnd.docker.image.rootfs.diff.tar": "plain",
		"application/vnd.docker.image.rootfs.diff.tar.gzip": "gzip",
	},
} as const;

const LAYER_TYPES = Object.keys(CONTENT_TYPES.layer) as (keyof typeof CONTENT_TYPES.layer)[];

/** An image manifest of somebody else's (OCI image spec, manifest.md). */
const imageManifestSchema = z.object({
	schemaVersion: z.literal(2),
	config: descriptor.extend({
		mediaType: z.enum(CONTENT_TYPES.config, "not an image's config"),
		size: z.int().min(1).max(IMAGE_BOUNDS.documentBytes, `at most ${IMAGE_BOUNDS.documentBytes} bytes`),
	}),
	layers: z
		.array(descriptor.extend({ mediaType: z.enum(LAYER_TYPES, "a plain or gzipped tar is wanted") }))
		.min(1)
		.max(IMAGE_BOUNDS.layers, `at most ${IMAGE_BOUNDS.layers} layers`),
});
export type ImageManifest = z.output<typeof imageManifestSchema>;

const NOT_OURS = "Berth didn't build this image; `berth deploy --image` runs it";
const label = z.string(`the label is missing: ${NOT_OURS}`);

/** JSON in a label. */
const inLabel = <Schema extends z.ZodType>(schema: Schema) =>
	label
		.transform((text, context): unknown => {
			const value = parseJson(Buffer.from(text));
			if (value === undefined) context.addIssue("not JSON");
			return value;
		})
		.pipe(schema);

const sourceReference = z.strictObject({
	digest,
	kind: z.enum(["file", "tar.gz", "zip", "image", "image-reference", "dockerfile"]),
	filename: z.string().max(255).optional(),
	sizeBytes: z.int().min(0),
});

/** What Berth says about a function in the labels of its image. */
export const IMAGE_LABELS = {
	base: "dev.berth.base",
	entry: "dev.berth.entry",
	manifest: "dev.berth.manifest",
	source: "dev.berth.source",
	/** The manifest's variables, sealed; absent when there are none. */
	env: "dev.berth.env",
} as const;

const imageConfigSchema = z.object({
	architecture: z.string(),
	os: z.string(),
	config: z.object(
		{
			Labels: z.object(
				{
					[IMAGE_LABELS.base]: label.pipe(digest),
					[IMAGE_LABELS.entry]: label.pipe(sourcePath),
					[IMAGE_LABELS.manifest]: inLabel(manifestSchema),
					[IMAGE_LABELS.source]: inLabel(sourceReference),
					[IMAGE_LABELS.env]: z.string().max(IMAGE_BOUNDS.documentBytes).optional(),
				},
				NOT_OURS,
			),
		},
		NOT_OURS,
	),
	rootfs: z.object({ type: z.literal("layers"), diff_ids: z.array(digest) }),
});
export type ImageConfig = z.output<typeof imageConfigSchema>;

/** What a document of an image says, or what is wrong with it. */
export type Checked<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly wrong: string };

/** A manifest of any image, of which a build makes a function's: how its layers are packed is seen where they are unpacked. */
const foreignManifestSchema = z.object({
	config: descriptor.extend({ size: z.int().min(1).max(IMAGE_BOUNDS.documentBytes, `at most ${IMAGE_BOUNDS.documentBytes} bytes`) }),
	layers: z.array(descriptor).min(1, "it has no layer").max(IMAGE_LIMITS.layers, `at most ${IMAGE_LIMITS.layers} layers`),
});

export const checkForeignManifest = (bytes: Uint8Array): Checked<z.output<typeof foreignManifestSchema>> =>
	check(foreignManifestSchema, bytes);
export const checkImageManifest = (bytes: Uint8Array): Checked<ImageManifest> => check(imageManifestSchema, bytes);
export const checkImageConfig = (bytes: Uint8Array): Checked<ImageConfig> => check(imageConfigSchema, bytes);

function check<T>(schema: z.ZodType<T>, bytes: Uint8Array): Checked<T> {
	const value = parseJson(bytes);
	if (value === undefined) return { ok: false, wrong: "it isn't JSON" };
	const parsed = schema.safeParse(value);
	if (parsed.success) return { ok: true, value: parsed.data };
	const [issue] = parsed.error.issues;
	return { ok: false, wrong: `${issue?.path.join(".") || "the whole"}: ${issue?.message}`.slice(0, 500) };
}

function parseJson(bytes: Uint8Array): unknown {
	try {
		return JSON.parse(new TextDecoder().decode(bytes)) as unknown;
	} catch {
		return undefined;
	}
}
