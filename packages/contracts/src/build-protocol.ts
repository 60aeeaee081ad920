import type { Runtime } from "./manifest.js";
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
	/** Decides how it is built, and for Node it is esbuild's target. */
	readonly runtime: Runtime;
}

/** The header of the `http` trigger that carries a BuildRequest as JSON. */
export const BUILD_REQUEST_HEADER = "berth-build";

/**
 * The answer's head, as JSON in the header of the same name. The answer's body is the list of the code layer's files,
 * `listBytes` of JSON (`BuiltFile[]`), then what is in them, one after another.
 */
export type BuildAnswer =
	| {
			readonly ok: true;
			readonly listBytes: number;
			/** Path of the file that is loaded: one of the list's. */
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

/** A file of the code layer: its path, and how many bytes of the body are its. */
export type BuiltFile = readonly [path: string, bytes: number];
