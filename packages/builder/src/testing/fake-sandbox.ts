import type { BuildAnswer, BuildRequest } from "@berth/contracts";
import type { BuildRun, BuildSandbox, BuildSandboxes, Respond } from "../build-sandbox.js";

/** Stands where a sandbox of the build class is: it answers as one that bundled. */
export class FakeSandbox implements BuildSandboxes {
	runs = 0;
	/** How many installations there were, and the layers that were grafted. */
	installs = 0;
	grafts: string[] = [];
	answer: (source: Uint8Array, request: BuildRequest) => BuildRun | Promise<BuildRun> = (source) => bundled(Buffer.from(source).toString());

	async acquire(): Promise<BuildSandbox> {
		return {
			run: async (request: BuildRequest, source: Uint8Array, _timeoutMs: number, respond?: Respond): Promise<BuildRun> => {
				if (request.step === "install") return await this.#install(respond as Respond);
				this.runs++;
				return await this.answer(source, request);
			},
			graft: async ({ digest }) => void this.grafts.push(digest),
			[Symbol.dispose]: () => undefined,
		};
	}

	async #install(respond: Respond): Promise<BuildRun> {
		this.installs++;
		await respond({ kind: "put" }, Buffer.from("its code"));
		const index = [["node_modules/pkg/index.js", 8, false]];
		return { outcome: "answered", answer: { ok: "installed" }, body: Buffer.from(JSON.stringify(index)) };
	}
}

/** Answers as one whose source has dependencies. */
export function dependent(needsDependencies: boolean): FakeSandbox["answer"] {
	return (source, request) =>
		request.step === "source" && request.grafted
			? bundled(Buffer.from(source).toString(), { needsDependencies })
			: { outcome: "answered", answer: { ok: "dependencies", locked: true }, body: Buffer.from("what to install") };
}

export function bundled(text: string, more: Partial<Extract<BuildAnswer, { ok: true }>> = {}): BuildRun {
	const phases = { unpackMs: 1, bundleMs: 2, checkMs: 3 };
	const list = JSON.stringify([
		["index.mjs", Buffer.byteLength(text), false],
		["index.mjs.map", 2, false],
	]);
	return {
		outcome: "answered",
		answer: { ok: true, listBytes: list.length, entry: "index.mjs", needsDependencies: false, warnings: [], phases, ...more },
		body: Buffer.from(`${list}${text}{}`),
	};
}
