import type { Diagnostic, SourceKind } from "./version.js";

/**
 * What the build handler takes and gives. It runs as a function does, in a sandbox of the build
 * class: the invocation's payload is the source's bytes, the request comes in the header below.
 */
export interface BuildRequest {
	readonly kind: SourceKind;
	/** File name of an inline source. */
	readonly filename?: string;
	/** Entry the manifest names. */
	readonly entry?: string;
	/** esbuild's target, `node24`. */
	readonly target: string;
}

/** The header of the `http` trigger that carries a BuildRequest as JSON. */
export const BUILD_REQUEST_HEADER = "berth-build";

/**
 * The answer's head, as JSON in the header of the same name; the answer's body is the bundle, then
 * the source map, `bundleBytes` and `mapBytes` long.
 */
export type BuildAnswer =
	| {
			readonly ok: true;
			readonly bundleBytes: number;
			readonly mapBytes: number;
			readonly cacheBytes: number;
			readonly entry: string;
			readonly warnings: readonly Diagnostic[];
			readonly phases: { readonly unpackMs: number; readonly bundleMs: number; readonly checkMs: number };
	  }
	| {
			readonly ok: false;
			readonly code: "build_failed" | "archive_rejected" | "no_handler";
			readonly phase: "unpack" | "bundle" | "check";
			readonly message: string;
			readonly diagnostics: readonly Diagnostic[];
	  };
