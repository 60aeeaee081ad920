import type { InlineDeployInput, ManifestInput } from "@berth/contracts";

/**
 * The function that is measured. The bench deploys it as a function of its own, again for every cold start, so that each is
 * of a version that no sandbox has seen, and removes it in the end.
 */
export type Subject =
	/** A source of one file, changed by a line for each version: its code layer is new, too. */
	| { readonly kind: "source"; readonly deploy: InlineDeployInput; readonly title?: string }
	/** An archive of sources. Its versions differ by a variable of the environment, since no file of it is known to be code. */
	| { readonly kind: "archive"; readonly archive: Archive; readonly title?: string }
	/** A function as it is deployed: a copy is measured, made from its source and manifest, and its own sandboxes are left alone. */
	| { readonly kind: "deployed"; readonly name: string };

/** An archive as `Client.deployArchive` takes it. */
export interface Archive {
	readonly kind: "tar.gz" | "zip";
	readonly bytes: Uint8Array;
	readonly manifest: ManifestInput;
}

/** The floors that can be measured beside it. */
export const FLOORS = ["node", "crun", "runc", "docker", "express", "bullmq"] as const;
export type FloorName = (typeof FLOORS)[number];

export interface LoadOptions {
	/** How long each load lasts, seconds. */
	readonly seconds: number;
	/** Connections of the closed loop. */
	readonly connections: number;
	/** Invocations per second of the open loop; default: half of what the closed loop reached. */
	readonly ratePerSecond?: number;
}

/** What to measure, and how long. */
export interface BenchOptions {
	/** Base URL of the gateway. */
	readonly url: string;
	readonly key: string;
	readonly subject: Subject;
	/** What every invocation is given, as JSON. */
	readonly payload: unknown;
	/** Cold starts of each kind. 0 measures no starts. */
	readonly starts: number;
	/** Warm invocations measured after each cold start. */
	readonly warmPerStart: number;
	/** How long a sandbox is left alone before a `frozen` start, milliseconds. */
	readonly idleMs: number;
	readonly load: LoadOptions | undefined;
	readonly floors: readonly FloorName[];
	/** Runs of each program that is a floor. */
	readonly floorRuns: number;
	readonly signal?: AbortSignal;
}

/** What is measured by default, and with `--quick`: some seconds, for a first look. */
export const PRESETS = {
	full: { starts: 20, warmPerStart: 25, idleMs: 200, load: { seconds: 10, connections: 32 }, floors: FLOORS, floorRuns: 20 },
	quick: { starts: 5, warmPerStart: 20, idleMs: 200, load: { seconds: 2, connections: 32 }, floors: ["node", "crun"], floorRuns: 8 },
} as const satisfies Record<string, Pick<BenchOptions, "starts" | "warmPerStart" | "idleMs" | "load" | "floors" | "floorRuns">>;

/** A function of less than 1 KB, for a bench that is given none. */
export const HELLO: InlineDeployInput = {
	filename: "index.ts",
	source: `export default {
	async fetch(request: Request): Promise<Response> {
		const { name = "world" } = (await request.json()) as { name?: string };
		return Response.json({ hello: name });
	},
};
`,
};

/** How far it is: what is measured now, and how much of it is done. */
export interface Progress {
	readonly stage: string;
	readonly done: number;
	readonly total: number;
}
export type OnProgress = (progress: Progress) => void;
