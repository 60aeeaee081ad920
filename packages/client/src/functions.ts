import {
	type Backlog,
	type BacklogAnswer,
	type DeployAnswer,
	type FunctionDetail,
	type FunctionList,
	HEADERS,
	type ImageDeployInput,
	type InlineDeployInput,
	type ManifestInput,
	type RebaseAnswer,
	type Version,
	type VersionList,
} from "@berth/contracts";
import { ApiError } from "./errors.js";
import { problemIn, type Transport } from "./transport.js";

/** How a deploy is awaited. */
export interface DeployOptions {
	/** Answer when the version is ready or failed, not when it is queued. Default true. */
	readonly wait?: boolean;
	/** Whether layers that are there already are used, and nothing is built when nothing changed. Default true. */
	readonly cache?: boolean;
	readonly signal?: AbortSignal;
}

const ARCHIVE_TYPES = { "tar.gz": "application/gzip", zip: "application/zip", image: "application/x-tar" } as const;

const pathOf = (name: string) => `/v1/functions/${encodeURIComponent(name)}`;
const deployPath = (name: string, { wait, cache }: DeployOptions) => {
	const query = [...(wait === false ? [] : ["wait=true"]), ...(cache === false ? ["cache=false"] : [])];
	return query.length === 0 ? pathOf(name) : `${pathOf(name)}?${query.join("&")}`;
};

/** Functions and their versions. */
export function functionsOf(transport: Transport) {
	return {
		/** Deploys one source file, or an image in a registry. @throws ApiError `build_failed` with `diagnostics`, `invalid_manifest` with `issues`, … */
		deploy: (name: string, deploy: InlineDeployInput | ImageDeployInput, options: DeployOptions = {}): Promise<DeployAnswer> =>
			transport.json({
				method: "PUT",
				path: deployPath(name, options),
				headers: { "content-type": "application/json" },
				body: JSON.stringify(deploy),
				signal: options.signal,
			}),

		/** Deploys an archive of sources, or an image as a tar. @throws ApiError as `deploy`, and `archive_rejected` */
		deployArchive: (
			name: string,
			archive: { readonly kind: keyof typeof ARCHIVE_TYPES; readonly bytes: Uint8Array; readonly manifest?: ManifestInput },
			options: DeployOptions = {},
		): Promise<DeployAnswer> =>
			transport.json({
				method: "PUT",
				path: deployPath(name, options),
				headers: { "content-type": ARCHIVE_TYPES[archive.kind], [HEADERS.manifest]: asHeader(archive.manifest ?? {}) },
				body: archive.bytes,
				signal: options.signal,
			}),

		/** Every function of the key's project. */
		async list(): Promise<FunctionList["functions"]> {
			return (await transport.json<FunctionList>({ method: "GET", path: "/v1/functions" })).functions;
		},

		/** Those that an alias leads to on an old base; `outdated` says which versions. */
		async outdated(): Promise<FunctionList["functions"]> {
			return (await transport.json<FunctionList>({ method: "GET", path: "/v1/functions?outdated=true" })).functions;
		},

		/** Versions on the bases of now, of those that aliases lead to. @throws ApiError `function_not_found`; when one fails to build, its failure */
		async rebase(name: string, { wait = true, signal }: Pick<DeployOptions, "wait" | "signal"> = {}): Promise<readonly Version[]> {
			const path = `${pathOf(name)}/rebase${wait ? "?wait=true" : ""}`;
			return (await transport.json<RebaseAnswer>({ method: "POST", path, signal })).rebased;
		},

		/** One function with its live version. @throws ApiError `function_not_found` */
		get: (name: string): Promise<FunctionDetail> => transport.json({ method: "GET", path: pathOf(name) }),

		/** Its versions, newest first. @throws ApiError `function_not_found` */
		async versions(name: string): Promise<readonly Version[]> {
			return (await transport.json<VersionList>({ method: "GET", path: `${pathOf(name)}/versions` })).versions;
		},

		/** One version. @throws ApiError `function_not_found`, `version_not_found` */
		version: (name: string, number: number): Promise<Version> =>
			transport.json({ method: "GET", path: `${pathOf(name)}/versions/${number}` }),

		/** Deletes a version that no alias leads to. @throws ApiError `version_in_use` */
		async removeVersion(name: string, number: number): Promise<void> {
			await transport.json({ method: "DELETE", path: `${pathOf(name)}/versions/${number}` });
		},

		/** A version's source as it was handed in: one file's text, or an archive. @throws ApiError `function_not_found` */
		async source(name: string, version: number, options: { readonly signal?: AbortSignal } = {}): Promise<Buffer> {
			const answer = await transport.raw({ method: "GET", path: `${pathOf(name)}/versions/${version}/source`, signal: options.signal });
			if (answer.status >= 400) throw new ApiError(problemIn(answer));
			return answer.body;
		},

		/** The lock file that a version's dependencies were resolved to. @throws ApiError `not_found` when none was made */
		async lockfile(name: string, version: number, options: { readonly signal?: AbortSignal } = {}): Promise<Buffer> {
			const answer = await transport.raw({ method: "GET", path: `${pathOf(name)}/versions/${version}/lockfile`, signal: options.signal });
			if (answer.status >= 400) throw new ApiError(problemIn(answer));
			return answer.body;
		},

		/** Lets its background work wait until it is resumed. @throws ApiError `function_not_found` */
		async pause(name: string): Promise<Backlog> {
			return (await transport.json<BacklogAnswer>({ method: "POST", path: `${pathOf(name)}/pause` })).background;
		},

		/** Lets its background work go on. @throws ApiError `function_not_found` */
		async resume(name: string): Promise<Backlog> {
			return (await transport.json<BacklogAnswer>({ method: "POST", path: `${pathOf(name)}/resume` })).background;
		},

		/** Deletes it with all its versions. @throws ApiError `function_not_found` */
		async remove(name: string): Promise<void> {
			await transport.json({ method: "DELETE", path: pathOf(name) });
		},
	};
}

/** JSON in a header: everything outside of printable ASCII as \u escapes, which JSON gives back. */
function asHeader(manifest: ManifestInput): string {
	return JSON.stringify(manifest).replace(/[^\x20-\x7e]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
