import { z } from "zod";
import type { BuildAnswer } from "./build-protocol.js";
import { MIB } from "./units.js";

const text = z.string().max(4096);

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
 * A build's answer as it comes out of its sandbox: hostile, like everything that does. The entry is
 * one of the two names that a code layer has.
 */
const buildAnswerSchema = z.discriminatedUnion("ok", [
	z.object({
		ok: z.literal(true),
		bundleBytes: bytes,
		mapBytes: bytes,
		cacheBytes: bytes,
		entry: z.enum(["index.cjs", "index.mjs"]),
		warnings: diagnostics,
		phases: z.object({ unpackMs: milliseconds, bundleMs: milliseconds, checkMs: milliseconds }),
	}),
	z.object({
		ok: z.literal(false),
		code: z.enum(["build_failed", "archive_rejected", "no_handler"]),
		phase: z.enum(["unpack", "bundle", "check"]),
		message: text,
		diagnostics,
	}),
]);

/** A checked answer; undefined when it isn't one. */
export function parseBuildAnswer(value: unknown): BuildAnswer | undefined {
	const parsed = buildAnswerSchema.safeParse(value);
	// zod's optional fields may be undefined; ours are absent, and JSON has no undefined.
	return parsed.success ? (parsed.data as BuildAnswer) : undefined;
}
