import { BerthError, type FunctionSummary, LIVE, type Selector, type Version } from "@berth/contracts";
import { functionNotFound } from "./absent.js";
import { aliasNotFound } from "./aliases.js";
import type { Share } from "./live-versions.js";

/** What an alias leads to is read again when it moved and its version was removed meanwhile: so often. */
const READS = 3;

/** What is read to find out where a name leads. */
export interface RecordedFunctions {
	getFunction(project: string, name: string): Promise<FunctionSummary | undefined>;
	getVersion(project: string, name: string, number: number): Promise<Version | undefined>;
	needVersion(project: string, name: string, number: number): Promise<Version>;
	unfinished(): Promise<readonly { readonly project: string; readonly function: string }[]>;
}

/** Where names lead, by what is on record. */
export class Resolution {
	readonly #functions: RecordedFunctions;

	constructor(functions: RecordedFunctions) {
		this.#functions = functions;
	}

	/** The versions that a selector leads to. @throws BerthError as `FunctionRegistry.resolve` */
	async sharesOf(project: string, name: string, selector: Selector): Promise<readonly Share[]> {
		if ("version" in selector) return [{ version: await this.#readyVersion(project, name, selector.version), percent: 100 }];
		for (let reads = 0; reads < READS; reads++) {
			const summary = await this.#functions.getFunction(project, name);
			if (summary === undefined) throw functionNotFound(name);
			const alias = summary.aliases.find((one) => one.name === selector.alias);
			if (alias === undefined) throw selector.alias === LIVE ? await this.#whyNotLive(summary) : aliasNotFound(name, selector.alias);
			const shares = await Promise.all(
				Object.entries(alias.weights).map(async ([number, percent]) => ({
					version: await this.#functions.getVersion(project, name, Number(number)),
					percent,
				})),
			);
			if (shares.every((share): share is Share => share.version !== undefined)) return shares;
		}
		throw new BerthError("unavailable", `${selector.alias} of ${name} moves too often to be read; try again`);
	}

	async #readyVersion(project: string, name: string, number: number): Promise<Version> {
		const version = await this.#functions.needVersion(project, name, number);
		if (version.state === "ready") return version;
		if (version.failure === undefined) throw new BerthError("version_not_ready", `version ${number} of ${name} is still being built`);
		const detail = `version ${number} of ${name} couldn't be built: ${version.failure.message}`;
		throw new BerthError("version_build_failed", detail, { extra: { version: number, failure: version.failure } });
	}

	/** Why a function has no version that answers: one is being built, or the last one failed. */
	async #whyNotLive({ project, name, latest }: FunctionSummary): Promise<BerthError> {
		const failure = (await this.#functions.getVersion(project, name, latest))?.failure;
		// One that was deployed before the latest may still be being built.
		const hasHope =
			failure === undefined || (await this.#functions.unfinished()).some((one) => one.project === project && one.function === name);
		const path = `GET /v1/functions/${name}/versions/${latest}`;
		if (hasHope) return new BerthError("function_not_ready", `version ${latest} of ${name} isn't ready; ${path} says how far it is`);
		const detail = `version ${latest} of ${name} couldn't be built: ${failure.message}`;
		return new BerthError("function_build_failed", detail, { extra: { version: latest, failure } });
	}
}
