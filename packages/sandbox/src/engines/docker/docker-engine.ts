import { createInterface } from "node:readline";
import {
	BerthError,
	type BootRequest,
	type Digest,
	type HostReport,
	type NetworkReport,
	type SandboxExit,
	type SpecialiseAnswer,
	type SpecialiseRequest,
	type VersionImage,
} from "@berth/contracts";
import { SANDBOX_UID } from "../../container-spec.js";
import { type Booted, type LayerSource, type PlacedLayer, placed, type SandboxEngine } from "../../engine.js";
import { UidRanges } from "../../uid-ranges.js";
import { cgroupOf } from "./container-cgroup.js";
import { containerConfig, LABELS } from "./container-config.js";
import { ContainerFreezer } from "./container-freezer.js";
import { ContainerOutput } from "./container-output.js";
import { removeContainer } from "./container-removal.js";
import { DockerApi, DockerError } from "./docker-api.js";
import { DockerImages } from "./docker-images.js";
import { type Info, requireOurNeeds } from "./docker-info.js";
import { DockerNetworks, removeNetworks } from "./docker-networks.js";
import { removeContainersOf, removeImagesOf } from "./leftovers.js";

/** What a version is told that asks for one. */
const NO_STORAGE = "the engine docker gives functions no volumes and no bind mounts";

export interface DockerEngineOptions {
	readonly socketPath: string;
	/** Whose containers these are: those of an earlier worker of this node are removed. */
	readonly node: string;
	/** Directory of the agents' sockets, one `<sandbox>.sock` each. */
	readonly agentSockets: string;
	/** First of the user ids that sandboxes run as, one each. */
	readonly uidBase: number;
	/** Whether the operator lets functions have the host's own network: images bring manifests along that no gateway has seen. */
	readonly allowsHostNetwork: boolean;
	/** What networks this host can give functions, and how its rules know them. */
	readonly networks: NetworkReport;
	/** A file that sandboxes have as their resolv.conf. */
	readonly resolvConf: string;
}

interface Entry {
	readonly uidBase: number;
	readonly ended: PromiseWithResolvers<void>;
	/** Settled when it was started, or couldn't be. */
	booting: Promise<unknown>;
	oomKilled: boolean;
}

interface ContainerEvent {
	readonly Action: string;
	readonly Actor: { readonly Attributes: Readonly<Record<string, string>> };
}

/** Containers of a Docker Engine, over its API. Whoever may use its socket is root on this machine. */
export class DockerEngine implements SandboxEngine {
	readonly grafts = false;
	readonly #api: DockerApi;
	readonly #options: DockerEngineOptions;
	readonly #images: DockerImages;
	readonly #networks: DockerNetworks;
	readonly #uids: UidRanges;
	readonly #report: HostReport;
	/** Whether it maps user ids by itself: then none but those of an image can be had. */
	readonly #mapsUids: boolean;
	readonly #entries = new Map<string, Entry>();
	readonly #closing = new AbortController();
	#exitListener: (exit: SandboxExit) => void = () => undefined;
	#lostListener: (cause: Error) => void = () => undefined;

	private constructor(api: DockerApi, options: DockerEngineOptions, info: Info, images: DockerImages, networks: DockerNetworks) {
		this.#api = api;
		this.#options = options;
		this.#images = images;
		this.#networks = networks;
		this.#uids = new UidRanges(options.uidBase);
		this.#mapsUids = info.SecurityOptions.some((option) => /name=(?:userns|rootless)/.test(option));
		this.#report = {
			cgroups: info.CgroupVersion === "2" ? "v2" : "v1",
			ociRuntime: "docker",
			ociRuntimeVersion: info.ServerVersion,
			networks: networks.report,
			storage: { missing: NO_STORAGE, binds: [] },
		};
	}

	/** Connects, and removes what an earlier worker of this node left. @throws DockerError when it can't be had, Error when it can't hold our limits */
	static async connect(options: DockerEngineOptions): Promise<DockerEngine> {
		const api = await DockerApi.open(options.socketPath);
		const info = await api.ask<Info>("/info");
		requireOurNeeds(info);
		await removeContainersOf(api, options.node);
		const images = await DockerImages.open(api, options.node);
		const engine = new DockerEngine(api, options, info, images, await DockerNetworks.open(api, options.node, options.networks));
		await engine.#listen();
		return engine;
	}

	/** Removes every container, network and image of a node. */
	static async removeLeftovers({ socketPath, node }: Pick<DockerEngineOptions, "socketPath" | "node">): Promise<void> {
		const api = await DockerApi.open(socketPath);
		try {
			await removeContainersOf(api, node);
			await removeNetworks(api, node);
			await removeImagesOf(api, node);
		} finally {
			api.close();
		}
	}

	host(): Promise<HostReport> {
		return Promise.resolve(this.#report);
	}

	async ensureLayers(layers: readonly PlacedLayer[], source: LayerSource, of?: VersionImage): Promise<void> {
		await this.#images.ensure(layers, source, of);
	}

	dropLayers(unusedForMs: number): Promise<number> {
		return this.#images.drop(unusedForMs);
	}

	async boot(request: BootRequest): Promise<Booted> {
		if (request.network === "host" && !this.#options.allowsHostNetwork) throw new Error("the host's network isn't permitted");
		if (request.storage !== undefined) throw new Error(`${request.sandbox}: ${NO_STORAGE}`);
		if (this.#entries.has(request.sandbox)) throw new Error(`${request.sandbox} exists already`);
		const entry: Entry = { uidBase: this.#uids.take(), ended: Promise.withResolvers(), booting: Promise.resolve(), oomKilled: false };
		this.#entries.set(request.sandbox, entry);
		const booting = this.#boot(request, entry);
		entry.booting = booting.catch(() => undefined);
		try {
			return await booting;
		} catch (error) {
			this.#images.forget(placesOf(request), request.of);
			await this.remove(request.sandbox);
			throw error;
		}
	}

	makeVolume(): Promise<boolean> {
		return Promise.reject(new BerthError("storage_unavailable", NO_STORAGE));
	}

	removeVolume(): Promise<void> {
		return Promise.reject(new BerthError("storage_unavailable", NO_STORAGE));
	}

	specialise(request: SpecialiseRequest): Promise<SpecialiseAnswer> {
		return Promise.reject(new Error(`${request.sandbox}: a Docker Engine gives a container nothing once it runs`));
	}

	async kill(sandbox: string): Promise<void> {
		const entry = this.#entries.get(sandbox);
		if (entry === undefined) return;
		await entry.booting;
		// 404: it was never made; 409: it has ended.
		const answer = await this.#api.send(`/containers/${sandbox}/kill`, { method: "POST", accept: [404, 409] });
		answer.resume();
		if (answer.statusCode !== 404) await entry.ended.promise;
	}

	async remove(sandbox: string): Promise<void> {
		const entry = this.#entries.get(sandbox);
		if (entry === undefined) return;
		await entry.booting;
		await removeContainer(this.#api, sandbox);
		if (this.#entries.delete(sandbox)) this.#uids.give(entry.uidBase);
		entry.ended.resolve();
	}

	onExit(listener: (exit: SandboxExit) => void): void {
		this.#exitListener = listener;
	}

	onLost(listener: (cause: Error) => void): void {
		this.#lostListener = listener;
	}

	async close(): Promise<void> {
		this.#closing.abort();
		try {
			await this.#networks.remove();
			await removeImagesOf(this.#api, this.#options.node);
		} finally {
			this.#api.close();
		}
	}

	async #boot(request: BootRequest, entry: Entry): Promise<Booted> {
		const { agentSockets, node, resolvConf } = this.#options;
		const id = request.sandbox;
		const image = await this.#images.idOf(placesOf(request), request.of);
		const uid = this.#mapsUids ? SANDBOX_UID : entry.uidBase + SANDBOX_UID;
		const arch = process.arch as "x64" | "arm64";
		const network = this.#networks.modeOf(request.network);
		const config = containerConfig(request, { image, socket: `${agentSockets}/${id}.sock`, resolvConf, network, uid, node, arch });
		await this.#api.ask("/containers/create", { method: "POST", query: { name: id }, json: config });
		const output = new ContainerOutput(await this.#api.hijack(`/containers/${id}/attach`, { stream: 1, stdout: 1, stderr: 1 }));
		try {
			await this.#api.ask(`/containers/${id}/start`, { method: "POST" });
			const { State, NetworkSettings } = await this.#api.ask<Started>(`/containers/${id}/json`);
			if (State.Pid === 0) throw new Error(`${id} ended as soon as it was started`);
			const address = typeof request.network === "object" ? NetworkSettings.Networks[network]?.IPAddress : undefined;
			return {
				cgroup: cgroupOf(State.Pid),
				cgroupGoes: true,
				output,
				freezer: new ContainerFreezer(this.#api, id),
				...(address === undefined ? {} : { address }),
			};
		} catch (error) {
			output.close();
			throw error;
		}
	}

	/** One connection says how every container ends; when it breaks, nobody would hear of an end any more. */
	async #listen(): Promise<void> {
		const filters = JSON.stringify({ type: ["container"], event: ["die", "oom"], label: [`${LABELS.node}=${this.#options.node}`] });
		const events = await this.#api.send("/events", { query: { filters } });
		let cause: Error = new DockerError("GET /events", 0, "the Docker Engine closed the connection");
		events.on("error", (error) => {
			cause = error;
		});
		events.once("close", () => {
			if (!this.#closing.signal.aborted) this.#lostListener(cause);
		});
		this.#closing.signal.addEventListener("abort", () => events.destroy(), { once: true });
		createInterface({ input: events }).on("line", (line) => this.#heard(JSON.parse(line) as ContainerEvent));
	}

	#heard({ Action, Actor: { Attributes } }: ContainerEvent): void {
		const sandbox = Attributes[LABELS.sandbox] ?? "";
		const entry = this.#entries.get(sandbox);
		if (entry === undefined) return;
		if (Action === "oom") {
			entry.oomKilled = true;
			return;
		}
		this.#exitListener({ sandbox, code: Number(Attributes["exitCode"]), maxResidentBytes: 0, oomKilled: entry.oomKilled });
		entry.ended.resolve();
	}
}

/** What an Engine says of a container. */
interface Started {
	readonly State: { readonly Pid: number };
	readonly NetworkSettings: { readonly Networks: Readonly<Record<string, { readonly IPAddress: string } | undefined>> };
}

/** What a sandbox is made of, as it was asked for before. */
function placesOf({ base, own = [], ownIsRoot }: BootRequest) {
	const layerOf = (digest: Digest) => ({ digest });
	return placed(base.map(layerOf), own.map(layerOf), ownIsRoot);
}
