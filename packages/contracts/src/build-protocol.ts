import type { PackagedLanguage, Runtime } from "./language.js";
import type { Diagnostic, SourceKind } from "./version.js";

/**
 * What the build handler takes and gives. It runs as a function does, in a sandbox of the build
 * class: the request comes in the header below, what it is about is the invocation's payload.
 */
export type BuildRequest = SourceRequest | ResolveRequest | InstallRequest | ScriptsRequest;

/** A package registry, or an index of Python packages, as sandboxes know it: without a login. */
export interface PackageRegistry {
	/** With a `/` at its end. */
	readonly url: string;
	/** Scopes (`@acme`) whose packages it has. Empty for the first of a list, which has everything that no other has. */
	readonly scopes: readonly string[];
}

/** The payload is a source, which is to be bundled. */
export interface SourceRequest {
	readonly step: "source";
	readonly kind: SourceKind;
	/** File name of an inline source. */
	readonly filename?: string;
	/** Entry the manifest names. */
	readonly entry?: string;
	/** Decides how it is built, and for Node it is esbuild's target. */
	readonly runtime: Runtime;
	/** Packages that the manifest keeps out of the bundle. */
	readonly external: readonly string[];
	/** The package registries of its language, which a source may name, the default one first; that one stands for the language's own, too. */
	readonly registries: readonly PackageRegistry[];
	/** Whether the source's dependencies are grafted in; without them a source that has some is answered with what to install. */
	readonly grafted: boolean;
}

/** The payload is a package.json without a lock file, as an answer of a source's gave it. */
export interface ResolveRequest {
	readonly step: "resolve";
	readonly registries: readonly PackageRegistry[];
	/** Milliseconds that the resolution itself may take. */
	readonly limitMs: number;
}

/** The payload is what an answer said is to be installed. */
export interface InstallRequest {
	readonly step: "install";
	/** Whose packages: npm's, or Python's. */
	readonly language: PackagedLanguage;
	readonly registries: readonly PackageRegistry[];
	/** An origin beside the registry's that has its files. */
	readonly filesOrigin?: string;
	/** Python's packages that are to be built from their source distributions: nothing is installed then, archives are fetched. */
	readonly fromSource?: readonly string[];
	/** Milliseconds that the installation itself may take. */
	readonly limitMs: number;
}

/**
 * What packages do at their installation. Of npm's the payload is empty, and the installed packages are grafted in; of Python's the payload is
 * that of the installation, and archives are grafted in.
 */
export interface ScriptsRequest {
	readonly step: "scripts";
	readonly language: PackagedLanguage;
	/** Packages whose install scripts are run, or that are built from their source. */
	readonly names: readonly string[];
	/** What the packages are for: native ones are compiled for this one's Node. */
	readonly runtime: Runtime;
	/** Milliseconds that all of them together may take. */
	readonly limitMs: number;
}

/** The header of the `http` trigger that carries a BuildRequest as JSON. */
export const BUILD_REQUEST_HEADER = "berth-build";

/** Where a grafted dependency layer has the names of the packages in it that can't be bundled, JSON: an array. Below the layer's root. */
export const EXTERNALS_FILE = "node_modules/.berth-externals.json";

/** Where a layer has archives of Python's packages, to build and install from. */
export const PYTHON_ARCHIVES = "archives";

/** Where a dependency layer has Python's packages: below the layer's root, as in `pip install --target`. */
export const PYTHON_PACKAGES = "site-packages";

/** Codes of what a build refuses. */
export const BUILD_REFUSALS = [
	"build_failed",
	"archive_rejected",
	"image_rejected",
	"no_handler",
	"dependencies_rejected",
	"install_failed",
	"registry_unavailable",
] as const;

/** The source doesn't build, or its dependencies can't be installed. */
export interface BuildRefusal {
	readonly ok: false;
	readonly code: (typeof BUILD_REFUSALS)[number];
	readonly phase: "unpack" | "install" | "bundle" | "check";
	readonly message: string;
	readonly diagnostics: readonly Diagnostic[];
}

/**
 * The answer's head, as JSON in the header of the same name. The body of a code layer is the list of its files,
 * `listBytes` of JSON (`BuiltFile[]`), then what is in them, one after another; that of `dependencies` is what to install,
 * or to resolve first; that of `resolved` a lock file, `lockBytes` long, then what to install; that of `installed` an index (JSON: an array of `[path, bytes, executable]`) of the files whose bytes were put before, in this order.
 */
export type BuildAnswer =
	| {
			readonly ok: true;
			readonly listBytes: number;
			/** Path of the file that is loaded: one of the list's. */
			readonly entry: string;
			/** Whether the bundle leaves packages to the dependency layer. */
			readonly needsDependencies: boolean;
			readonly warnings: readonly Diagnostic[];
			readonly phases: { readonly unpackMs: number; readonly bundleMs: number; readonly checkMs: number };
	  }
	| { readonly ok: "dependencies"; readonly locked: boolean }
	| { readonly ok: "resolved"; readonly lockBytes: number; readonly packages: number }
	/** An image: the body is the list of its tree (`ImageEntry[]`), the bytes of whose files were put before, in this order. */
	| { readonly ok: "image" }
	| {
			readonly ok: "installed";
			/** What was chosen, when the source left some of it open: a line for each package, as its own tool takes them. */
			readonly resolved?: readonly string[];
			/** Names of npm's packages that have install scripts. */
			readonly withScripts?: readonly string[];
			/** What scripts said that were run, for the log. */
			readonly said?: readonly string[];
	  }
	| BuildRefusal;

/** What an installation asks for: a path of a registry's host, the next bytes of what it gave, or to take the body's bytes. */
export type BuildQuestion =
	| { readonly kind: "fetch"; readonly host: string; readonly path: string }
	| { readonly kind: "read"; readonly handle: number }
	| { readonly kind: "put" };

/** Answer to `fetch`; the first bytes are its body. A registry that gave none is 502 or 504, and `reason` says why. */
export interface FetchReply {
	readonly status: number;
	readonly contentType?: string;
	readonly reason?: string;
	/** With this, `read` gives what follows; absent: that was all. */
	readonly handle?: number;
}

/** Answer to `read`; the bytes are its body. */
export interface ReadReply {
	readonly last: boolean;
	/** Why there won't be more although there is. */
	readonly reason?: string;
}

/** A file of the code layer: its path, how many bytes of the body are its, and whether it may be executed. */
export type BuiltFile = readonly [path: string, bytes: number, executable: boolean];

/** An entry of an image's merged tree: its path, and what it is. */
export type ImageEntry =
	| readonly [path: string, kind: "directory"]
	| readonly [path: string, kind: "link", target: string]
	| readonly [path: string, kind: "file", bytes: number, executable: boolean];
