import * as z from "zod";
import { BUILD_REFUSALS, type BuildAnswer, type BuiltFile, type ImageEntry } from "./build-protocol.js";
import { DEPENDENCY_LIMITS, IMAGE_LIMITS } from "./limits.js";
import { sourcePath } from "./manifest.js";
import { MIB } from "./units.js";

const INSTALLED_PATH = /^(?:node_modules|site-packages|archives)\/(?!.*(?:^|\/)\.{1,2}(?:\/|$))(?!.*\/\/)[^\0]+[^\0/]$/;

const text = z.string().max(4096);

/** What a package's name, version and hash are made of. */
const resolvedPackage = z.string().regex(/^[\w.@/+!=: -]{1,300}$/);
const MOST_RESOLVED = 1000;

const diagnostic = z.object({
	severity: z.enum(["error", "warning"]),
	message: text,
	file: text.optional(),
	line: z.int().min(0).optional(),
	column: z.int().min(0).optional(),
	lineText: text.optional(),
});

const diagnostics = z.array(diagnostic).max(100);
const bytes = z
	.int()
	.min(0)
	.max(64 * MIB);
const milliseconds = z.number().min(0);

/**
 * A build's answer as it comes out of its sandbox: hostile, like everything that does. Paths are held to what the
 * paths of a source are; they are only ever looked up inside the layer that is made of them.
 */
const buildAnswerSchema = z.discriminatedUnion("ok", [
	z.object({
		ok: z.literal(true),
		listBytes: bytes,
		entry: sourcePath,
		needsDependencies: z.boolean(),
		warnings: diagnostics,
		phases: z.object({ unpackMs: milliseconds, bundleMs: milliseconds, checkMs: milliseconds }),
	}),
	z.object({ ok: z.literal("dependencies"), locked: z.boolean() }),
	z.object({
		ok: z.literal("resolved"),
		lockBytes: z.int().min(1).max(DEPENDENCY_LIMITS.lockBytes),
		packages: z.int().min(0).max(DEPENDENCY_LIMITS.files),
	}),
	z.object({ ok: z.literal("image") }),
	z.object({
		ok: z.literal("installed"),
		resolved: z.array(resolvedPackage).max(MOST_RESOLVED).optional(),
		withScripts: z.array(z.string().max(300)).max(MOST_RESOLVED).optional(),
		said: z.array(text).max(100).optional(),
	}),
	z.object({
		ok: z.literal(false),
		code: z.enum(BUILD_REFUSALS),
		phase: z.enum(["unpack", "install", "bundle", "check"]),
		message: text,
		diagnostics,
	}),
]);

/** Files of an installed tree: `[path, bytes, executable]`, below node_modules, site-packages or archives, in the order in which their bytes came. */
const installedIndexSchema = z
	.array(z.tuple([z.string().regex(INSTALLED_PATH), bytes, z.boolean()]))
	.min(1)
	.max(DEPENDENCY_LIMITS.files);

/** A checked index; undefined when it isn't one. */
export function parseInstalledIndex(value: unknown): readonly (readonly [path: string, bytes: number, executable: boolean])[] | undefined {
	const parsed = installedIndexSchema.safeParse(value);
	return parsed.success ? parsed.data : undefined;
}

/** A source's entries, and bytecode for each. */
const MOST_FILES = 4096;
const builtFiles = z
	.array(z.tuple([sourcePath, bytes, z.boolean()]))
	.min(1)
	.max(MOST_FILES);

/** A checked list of files; undefined when it isn't one. */
export function parseBuiltFiles(value: unknown): readonly BuiltFile[] | undefined {
	const parsed = builtFiles.safeParse(value);
	return parsed.success ? parsed.data : undefined;
}

/** A checked answer; undefined when it isn't one. */
export function parseBuildAnswer(value: unknown): BuildAnswer | undefined {
	const parsed = buildAnswerSchema.safeParse(value);
	// zod's optional fields may be undefined; ours are absent, and JSON has no undefined.
	return parsed.success ? (parsed.data as BuildAnswer) : undefined;
}

const IMAGE_PATH = /^(?!\/)(?!.*(?:^|\/)\.{0,2}(?:\/|$))[^\0]+$/s;
const imagePath = z.string().max(4096).regex(IMAGE_PATH);
const imageEntries = z
	.array(
		z.union([
			z.tuple([imagePath, z.literal("directory")]),
			z.tuple([imagePath, z.literal("link"), z.string().min(1).max(4096)]),
			z.tuple([imagePath, z.literal("file"), z.int().min(0).max(IMAGE_LIMITS.totalBytes), z.boolean()]),
		]),
	)
	.min(1)
	.max(2 * IMAGE_LIMITS.entries);

/** A checked list of an image's tree; undefined when it isn't one. */
export function parseImageEntries(value: unknown): readonly ImageEntry[] | undefined {
	const parsed = imageEntries.safeParse(value);
	return parsed.success ? parsed.data : undefined;
}
