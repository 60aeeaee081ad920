import { text } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { IMAGE_LIMITS, MIB } from "@berth/contracts";
import { CPU_PERIOD_US, CPU_SHARES, cpuQuotaUs } from "../../container-spec.js";
import { BuildOutput, type BuildOutputListener } from "./build-output.js";
import { removeContainers } from "./container-removal.js";
import { DockerApi, DockerError } from "./docker-api.js";
import { ProcessLimits } from "./process-limits.js";

/** What an instruction may use: as much as a build's sandbox. */
const CAPS = { memoryBytes: 1024 * MIB, cpuMilli: 2000, pids: 512, fileBytes: 1024 * MIB, openFiles: 4096 } as const;
/** What comes of a build that nothing uses any more is what the next one begins with. */
const CACHE_KEPT = "48h";

export interface DockerBuildsOptions {
	readonly socketPath: string;
	/** Whose builds these are. */
	readonly node: string;
	/** Whether what runs in them has the Engine's default network; else it has none. */
	readonly isOnline: boolean;
}

export interface DockerBuild extends Omit<BuildOutputListener, "onContainer"> {
	/** A tar. */
	readonly context: AsyncIterable<Uint8Array>;
	/** Path of the Dockerfile in there. */
	readonly dockerfile: string;
	/** Whether every step is done anew. */
	readonly noCache: boolean;
	readonly timeoutMs: number;
}

export type DockerBuildResult =
	/** The image as `docker save` writes it, gzipped. */
	| { readonly outcome: "built"; readonly archive: Uint8Array }
	| { readonly outcome: "failed"; readonly message: string }
	| { readonly outcome: "timed_out" }
	| { readonly outcome: "too_large"; readonly maxBytes: number };

/**
 * The builder of a Docker Engine. What a Dockerfile runs is root in a container with Docker's default capabilities and no user
 * namespace: whoever lets tenants have that trusts them.
 */
export class DockerBuilds {
	readonly #api: DockerApi;
	readonly #options: DockerBuildsOptions;

	private constructor(api: DockerApi, options: DockerBuildsOptions) {
		this.#api = api;
		this.#options = options;
	}

	/** @throws DockerError when the Engine can't be had */
	static async open(options: DockerBuildsOptions): Promise<DockerBuilds> {
		return new DockerBuilds(await DockerApi.open(options.socketPath), options);
	}

	/** Every container and image of a build has it, by its Dockerfile. */
	get label(): string {
		return labelOf(this.#options.node);
	}

	/** Whether the Engine has an image by that very name (an id is none), and it isn't one of a function's. */
	async has(image: string): Promise<boolean> {
		const familiar = image.replace(/^docker\.io\//, "").replace(/^library\//, "");
		const name = /[:@][^/]*$/.test(familiar) ? familiar : `${familiar}:latest`;
		if (name.startsWith("berth/")) return false;
		const answer = await this.#api.send(`/images/${name}/json`, { accept: [400, 404] });
		const body = await text(answer);
		if (answer.statusCode !== 200) return false;
		const { RepoTags, RepoDigests } = JSON.parse(body) as { RepoTags: readonly string[] | null; RepoDigests: readonly string[] | null };
		return [...(RepoTags ?? []), ...(RepoDigests ?? [])].includes(name);
	}

	/** @throws DockerError when the Engine is to blame */
	async build(build: DockerBuild): Promise<DockerBuildResult> {
		const endsAt = performance.now() + build.timeoutMs;
		const output = await this.#run(build);
		if (output === undefined) return { outcome: "timed_out" };
		if (output.error !== undefined) return { outcome: "failed", message: output.error };
		if (output.id === undefined) throw new DockerError("POST /build", 0, "it ended without an image, and without saying why");
		return await this.#save(output.id, endsAt);
	}

	/** Removes images of builds that are too old to be begun with. */
	async prune(): Promise<void> {
		await prune(this.#api, this.label, { until: [CACHE_KEPT] });
	}

	close(): void {
		this.#api.close();
	}

	/** The builder ends a build, and removes its container, when nobody listens to it any more. @returns undefined when it took too long */
	async #run({ context, dockerfile, noCache, timeoutMs, ...listener }: DockerBuild): Promise<BuildOutput | undefined> {
		const late = AbortSignal.timeout(timeoutMs);
		const limits = new ProcessLimits(this.#api, this.label, CAPS.pids);
		const output = new BuildOutput({ ...listener, onContainer: () => limits.look() });
		try {
			const query = { ...queryOf(this.#options), dockerfile, nocache: noCache ? 1 : 0 };
			const options = { method: "POST", query, body: context, answerMs: 0, accept: [400], signal: late } as const;
			const response = await this.#api.send("/build", options);
			if (response.statusCode === 400) {
				output.error = (JSON.parse(await text(response)) as { message: string }).message;
				return output;
			}
			for await (const line of linesOf(response)) output.take(line);
			output.end();
			await limits.settled();
			return output;
		} catch (error) {
			if (late.aborted) return undefined;
			throw error instanceof DockerError ? error : new DockerError("POST /build", 0, (error as Error).message);
		}
	}

	async #save(id: string, endsAt: number): Promise<DockerBuildResult> {
		const late = AbortSignal.timeout(Math.max(1, Math.round(endsAt - performance.now())));
		const pieces: Buffer[] = [];
		let size = 0;
		const maxBytes = IMAGE_LIMITS.archiveBytes;
		try {
			const image = await this.#api.send(`/images/${id}/get`, { answerMs: 0, signal: late });
			// Level 1: it is unpacked again at once.
			await pipeline(image, createGzip({ level: 1 }), async (packed: AsyncIterable<Buffer>) => {
				for await (const piece of packed) {
					size += piece.byteLength;
					if (size > maxBytes) break;
					pieces.push(piece);
				}
			});
		} catch (error) {
			if (late.aborted) return { outcome: "timed_out" };
			if (size <= maxBytes) throw error;
		}
		return size > maxBytes ? { outcome: "too_large", maxBytes } : { outcome: "built", archive: Buffer.concat(pieces) };
	}
}

function labelOf(node: string): string {
	return `dev.berth.build.${node}`;
}

/** They have no names: a step begins with the images of the steps before. */
async function prune(api: DockerApi, label: string, filter: object = {}): Promise<void> {
	const filters = JSON.stringify({ dangling: ["true"], label: [label], ...filter });
	await api.ask("/images/prune", { method: "POST", query: { filters }, answerMs: 0 });
}

/** Removes all that builds of a node have left: its containers, where the Engine itself was stopped in one, and its images. */
export async function removeBuilds(api: DockerApi, node: string): Promise<void> {
	await removeContainers(api, labelOf(node));
	await prune(api, labelOf(node));
}

function queryOf({ isOnline }: DockerBuildsOptions) {
	const limit = (Name: string, value: number) => ({ Name, Hard: value, Soft: value });
	return {
		// The classic builder, which is in every Engine.
		version: "1",
		networkmode: isOnline ? "default" : "none",
		memory: CAPS.memoryBytes,
		memswap: CAPS.memoryBytes,
		cpuperiod: CPU_PERIOD_US,
		cpuquota: cpuQuotaUs(CAPS.cpuMilli),
		cpushares: CPU_SHARES,
		ulimits: JSON.stringify([limit("nofile", CAPS.openFiles), limit("core", 0), limit("fsize", CAPS.fileBytes)]),
		rm: 1,
		forcerm: 1,
	};
}

async function* linesOf(stream: AsyncIterable<Buffer>): AsyncGenerator<string> {
	let held = "";
	const decoder = new TextDecoder();
	for await (const piece of stream) {
		const lines = `${held}${decoder.decode(piece, { stream: true })}`.split("\n");
		held = lines.pop() as string;
		yield* lines.filter((line) => line.trim() !== "");
	}
	if (held.trim() !== "") yield held;
}
