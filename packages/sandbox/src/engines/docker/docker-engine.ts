import type {
	BesideDockerReport,
	BootRequest,
	Digest,
	HostReport,
	SandboxExit,
	SpecialiseAnswer,
	SpecialiseRequest,
	VersionImage,
} from "@berth/contracts";
import { SANDBOX_UID } from "../../container-spec.js";
import { type Booted, type LayerSource, type PlacedLayer, placed, type SandboxEngine } from "../../engine.js";
import { UidRanges } from "../../uid-ranges.js";
import { LauncherConnection } from "../launcher-connection.js";
import { cgroupOf } from "./container-cgroup.js";
import { containerConfig } from "./container-config.js";
import { hearEnds } from "./container-ends.js";
import { ContainerFreezer } from "./container-freezer.js";
import { ContainerOutput } from "./container-output.js";
import { removeContainer } from "./container-removal.js";
import { DockerApi } from "./docker-api.js";
import { DockerImages } from "./docker-images.js";
import { type Info, mapsUserIds, requireOurNeeds } from "./docker-info.js";
import { DockerNetworks, removeNetworks } from "./docker-networks.js";
import { DockerStorage } from "./docker-storage.js";
import { removeContainersOf, removeImagesOf } from "./leftovers.js";

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
	/** The launcher's socket: it sees to what is root's to do on this host. */
	readonly launcherSocket: string;
	/** A file that sandboxes have as their resolv.conf. */
	readonly resolvConf: string;
	/** AppArmor's, for sandboxes; undefined: what the Engine gives its containers. */
	readonly apparmorProfile?: string | undefined;
}

interface Entry {
	readonly uidBase: number;
	readonly ended: PromiseWithResolvers<void>;
	/** Settled when it was started, or couldn't be. */
	booting: Promise<unknown>;
	oomKilled: boolean;
	/** Whether it was asked to kill it while its agent was there. */
	isKilled: boolean;
}

/** What an engine is put together of. */
interface Parts {
	readonly api: DockerApi;
	readonly info: Info;
	readonly images: DockerImages;
	readonly networks: DockerNetworks;
	readonly storage: DockerStorage;
	readonly launcher: LauncherConnection;
}

/** Containers of a Docker Engine, over its API. Whoever may use its socket is root on this machine. */
export class DockerEngine implements SandboxEngine {
	readonly grafts = false;
	readonly #api: DockerApi;
	readonly #options: DockerEngineOptions;
	readonly #images: DockerImages;
	readonly #networks: DockerNetworks;
	readonly #launcher: LauncherConnection;
	readonly #storage: DockerStorage;
	readonly #uids: UidRanges;
	readonly #report: HostReport;
	/** Whether it maps user ids by itself: then none but those of an image can be had. */
	readonly #mapsUids: boolean;
	readonly #entries = new Map<string, Entry>();
	readonly #closing = new AbortController();
	#exitListener: (exit: SandboxExit) => void = () => undefined;
	#lostListener: (cause: Error) => void = () => undefined;

	private constructor(options: DockerEngineOptions, { api, info, images, networks, launcher, storage }: Parts) {
		this.#options = options;
		this.#api = api;
		this.#images = images;
		this.#networks = networks;
		this.#launcher = launcher;
		this.#storage = storage;
		this.#uids = new UidRanges(options.uidBase);
		this.#mapsUids = mapsUserIds(info);
		launcher.onLost((cause) => this.#lostListener(cause));
		this.#report = {
			cgroups: info.CgroupVersion === "2" ? "v2" : "v1",
			ociRuntime: "docker",
			ociRuntimeVersion: info.ServerVersion,
			runtimeClasses: { runsc: { missing: "with the engine docker there is no runtime class; BERTH_ENGINE=oci has it" } },
			networks: networks.report,
			storage: storage.report,
		};
	}

	/** Connects, and removes what an earlier worker of this node left. @throws DockerError when it can't be had, Error when it can't hold our limits */
	static async connect(options: DockerEngineOptions): Promise<DockerEngine> {
		const api = await DockerApi.open(options.socketPath);
		const info = await api.ask<Info>("/info");
		requireOurNeeds(info, options.apparmorProfile);
		const launcher = await LauncherConnection.open(options.launcherSocket);
		const { networks, storage } = await launcher.request<BesideDockerReport>("host", {});
		await removeContainersOf(api, options.node);
		const parts = {
			api,
			info,
			launcher,
			images: await DockerImages.open(api, options.node),
			networks: await DockerNetworks.open(api, options.node, networks),
			storage: new DockerStorage(launcher, storage, mapsUserIds(info)),
		};
		const engine = new DockerEngine(options, parts);
		await hearEnds(api, options.node, engine.#closing.signal, {
			outOfMemory: (sandbox) => engine.#ranOut(sandbox),
			knowsKiller: (sandbox) => engine.#knowsKiller(sandbox),
			ended: (sandbox, exitCode) => engine.#ended(sandbox, exitCode),
			lost: (cause) => engine.#lostListener(cause),
		});
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
		if (this.#entries.has(request.sandbox)) throw new Error(`${request.sandbox} exists already`);
		const entry: Entry = {
			uidBase: this.#uids.take(),
			ended: Promise.withResolvers(),
			booting: Promise.resolve(),
			oomKilled: false,
			isKilled: false,
		};
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

	makeVolume(id: string, sizeMiB: number): Promise<boolean> {
		return this.#storage.makeVolume(id, sizeMiB);
	}

	removeVolume(id: string): Promise<void> {
		return this.#storage.removeVolume(id);
	}

	specialise(request: SpecialiseRequest): Promise<SpecialiseAnswer> {
		return Promise.reject(new Error(`${request.sandbox}: a Docker Engine gives a container nothing once it runs`));
	}

	async kill(sandbox: string, isOver = false): Promise<void> {
		const entry = this.#entries.get(sandbox);
		if (entry === undefined) return;
		await entry.booting;
		if (!isOver) entry.isKilled = true;
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
		await this.#storage.unmount(sandbox);
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
			await this.#launcher.close();
		}
	}

	async #boot(request: BootRequest, entry: Entry): Promise<Booted> {
		const { agentSockets, node, resolvConf, apparmorProfile } = this.#options;
		const id = request.sandbox;
		const image = await this.#images.idOf(placesOf(request), request.of);
		const uid = this.#mapsUids ? SANDBOX_UID : entry.uidBase + SANDBOX_UID;
		const arch = process.arch as "x64" | "arm64";
		const network = this.#networks.modeOf(request.network);
		const mounts = await this.#storage.mount(request, entry.uidBase);
		const socket = `${agentSockets}/${id}.sock`;
		const config = containerConfig(request, { image, socket, resolvConf, mounts, network, uid, node, arch, apparmorProfile });
		await this.#api.ask("/containers/create", { method: "POST", query: { name: id }, json: config });
		const output = new ContainerOutput(await this.#api.hijack(`/containers/${id}/attach`, { stream: 1, stdout: 1, stderr: 1 }));
		try {
			await this.#api.ask(`/containers/${id}/start`, { method: "POST" });
			const { State, NetworkSettings } = await this.#api.ask<Started>(`/containers/${id}/json`);
			if (State.Pid === 0) throw new Error(`${id} ended as soon as it was started`);
			const isKnown = typeof request.network === "object" || request.network === "allow";
			const address = isKnown ? NetworkSettings.Networks[network]?.IPAddress : undefined;
			return {
				cgroup: cgroupOf(State.Pid),
				cgroupGoes: true,
				seesInside: true,
				output,
				freezer: new ContainerFreezer(this.#api, id),
				...(address === undefined ? {} : { address }),
			};
		} catch (error) {
			output.close();
			throw error;
		}
	}

	#ranOut(sandbox: string): void {
		const entry = this.#entries.get(sandbox);
		if (entry !== undefined) entry.oomKilled = true;
	}

	#knowsKiller(sandbox: string): boolean {
		const entry = this.#entries.get(sandbox);
		return entry === undefined || entry.isKilled || entry.oomKilled;
	}

	#ended(sandbox: string, exitCode: number): void {
		const entry = this.#entries.get(sandbox);
		if (entry === undefined) return;
		this.#exitListener({ sandbox, code: exitCode, maxResidentBytes: 0, oomKilled: entry.oomKilled });
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
