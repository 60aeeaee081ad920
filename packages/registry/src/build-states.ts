import {
	type BuildFailure,
	type BuildLogLine,
	type BuildReport,
	type ImageReference,
	logTexts,
	type Quotas,
	type Version,
	type VersionState,
} from "@berth/contracts";
import { guarded, type Redis } from "@berth/redis";
import type { Changes } from "./changes.js";
import { keys } from "./keys.js";
import { quotaExceeded } from "./quotas.js";
import { SET_STATE } from "./version-scripts.js";

/** How often a wait looks again although no news came, milliseconds. */
const LOOK_AGAIN_MS = 1000;

/** What a build found. */
export type BuildEnd =
	| { readonly state: "ready"; readonly image: ImageReference; readonly build: BuildReport }
	| { readonly state: "failed"; readonly failure: BuildFailure; readonly build: BuildReport };

/** The states of versions while they are built: `queued → building → ready | failed`, each with its line in the build log. */
export class BuildStates {
	readonly #redis: Redis;
	readonly #changes: Changes;
	readonly #quotas: Quotas;

	/** @param quotas what bounds projects for which nothing else was set */
	constructor(redis: Redis, changes: Changes, quotas: Quotas) {
		this.#quotas = quotas;
		this.#redis = redis;
		this.#changes = changes;
	}

	/** As `FunctionRegistry.setBuilding`. */
	begin(version: Version): Promise<boolean> {
		return this.#set(version, "building", stateLine("building", "building"), {});
	}

	/** As `FunctionRegistry.endBuild`. */
	end(version: Version, end: BuildEnd): Promise<boolean> {
		const { state, ...fields } = end;
		return this.#set(version, state, endLine(end), { ...fields, finishedAt: new Date().toISOString() });
	}

	/** The version when its build has ended, or as it is when the time is over; undefined when it was deleted. @param read the version as it is */
	async ended(
		{ project, function: name }: Version,
		timeoutMs: number,
		read: () => Promise<Version | undefined>,
	): Promise<Version | undefined> {
		const giveUpAt = performance.now() + timeoutMs;
		for (;;) {
			const news = this.#newsOf(`${project}/${name}`, Math.min(LOOK_AGAIN_MS, giveUpAt - performance.now()));
			try {
				const current = await read();
				const over = current === undefined || current.state === "ready" || current.state === "failed" || performance.now() >= giveUpAt;
				if (over) return current;
				await news.arrived;
			} finally {
				news.stop();
			}
		}
	}

	async #set(version: Version, state: VersionState, line: string, fields: Readonly<Record<string, unknown>>): Promise<boolean> {
		const { project, function: name, number, source } = version;
		const pairs = Object.entries(fields).flatMap(([field, value]) => [field, JSON.stringify(value)]);
		const image = state === "ready" ? JSON.stringify(fields["image"]) : "";
		const done = await guarded(this.#redis, `setting ${name}:${number} to ${state}`, () =>
			SET_STATE.run(
				this.#redis,
				[
					keys.function(project, name),
					keys.version(project, name, number),
					keys.changes,
					keys.unfinished,
					keys.sourceUsers(source.digest),
					keys.quotas,
					keys.heldLayers(project),
				],
				[number, state, new Date().toISOString(), `${project}/${name}`, line, project, this.#quotas.imageMiB ?? "", image, ...pairs],
			),
		);
		if (Array.isArray(done)) throw quotaExceeded("imageMiB", project, Number(done[2]), Number(done[1]));
		return done === 1;
	}

	#newsOf(name: string, withinMs: number): { readonly arrived: Promise<void>; readonly stop: () => void } {
		const { promise: arrived, resolve } = Promise.withResolvers<void>();
		const timer = setTimeout(resolve, Math.max(0, withinMs));
		const unlisten = this.#changes.listen((changed) => {
			if (changed === undefined || changed === name) resolve();
		});
		const stop = () => {
			clearTimeout(timer);
			unlisten();
		};
		return { arrived, stop };
	}
}

/** A line of the log that a state's change leaves, whatever else the log has. */
export function stateLine(state: VersionState, text: string): string {
	return JSON.stringify({ kind: "state", state, text: logTexts(text)[0] ?? state } satisfies BuildLogLine);
}

function endLine(end: BuildEnd): string {
	if (end.state === "ready") return stateLine("ready", `ready in ${Math.round(end.build.durationMs)} ms: ${end.image.digest}`);
	return stateLine("failed", `failed (${end.failure.phase}): ${end.failure.message}`);
}
