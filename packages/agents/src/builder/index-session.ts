import type { InstallRequest } from "@berth/contracts/agent";
import type { Ask } from "../node/questions.js";
import type { Built } from "./answer.js";
import { type End, saying, tooLate } from "./program-end.js";
import { PythonIndex } from "./python-index.js";
import { failure, refused } from "./refusals.js";
import { RegistryBridge } from "./registry-bridge.js";

/** The index that one installation asks, on the sandbox's loopback. */
export class IndexSession implements AsyncDisposable {
	readonly #request: InstallRequest;
	readonly #bridge: RegistryBridge;

	private constructor(request: InstallRequest, bridge: RegistryBridge) {
		this.#request = request;
		this.#bridge = bridge;
	}

	/** @param chosen the URL of the index, where it isn't the first */
	static async open(request: InstallRequest, chosen: string | undefined, ask: Ask): Promise<IndexSession> {
		// The bridge's default is the index that is asked.
		const registries = request.registries.toSorted((a, b) => Number(b.url === chosen) - Number(a.url === chosen));
		const index = new PythonIndex(registries[0]?.url ?? "", request.filesOrigin);
		return new IndexSession(request, await RegistryBridge.open(registries, ask, index));
	}

	get url(): string {
		return this.#bridge.urls.registry;
	}

	/** Paths that it hasn't. */
	get missing(): ReadonlySet<string> {
		return this.#bridge.missing;
	}

	/** What a tool said, of the index rather than of the bridge. */
	named(end: End, directory: string): End {
		const lines = end.lines.map((line) => this.#bridge.named(line).replaceAll(`${directory}/`, ""));
		return { ...end, lines };
	}

	/** That it took too long, or that the index is to blame. */
	refusal(ended: End): Built | undefined {
		const { trouble, denied, underWay } = this.#bridge;
		if (ended.isLate)
			return refused(
				failure("install_failed", "install", tooLate("Installing the packages", this.#request.limitMs, underWay, ended, "pip")),
			);
		if (trouble !== undefined)
			return refused(failure("registry_unavailable", "install", `The package index can't be reached: ${trouble}.`));
		if (ended.code === 0 || denied === undefined) return undefined;
		const message = `${denied} wants a login; \`berth registry set ${denied}\` gives it one.${saying(ended, "pip")}`;
		return refused(failure("install_failed", "install", message));
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#bridge[Symbol.asyncDispose]();
	}
}
