import { createHash } from "node:crypto";
import { type Digest, isDigest, type Layer, type VersionImage } from "@berth/contracts";
import type { LayerSource, PlacedLayer } from "../../engine.js";
import { type DockerApi, DockerError } from "./docker-api.js";
import { imageArchive } from "./image-archive.js";
import { type MovedLayer, movedLayer } from "./moved-layer.js";

/** Processor names as Go, and so Docker, has them. */
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: "amd64", arm64: "arm64" };
/** What Docker takes as a repository: of ours those that end with a hyphen aren't. */
const NAME = /^[a-z0-9]+(?:-+[a-z0-9]+)*(?:\/[a-z0-9]+(?:-+[a-z0-9]+)*)*:[\w][\w.-]{0,127}$/;
/** A base of 125 MB on a slow disk. */
const LOAD_MS = 10 * 60_000;

/** What is said of a layer by whoever knows that it was brought. */
type Place = Pick<PlacedLayer, "digest" | "below">;

interface Known {
	/** Undefined when it is to be looked for, or made, by whoever asks next. */
	work: Promise<Digest> | undefined;
	wantedAtMs: number;
}

/** The images of this node in a Docker Engine: what a sandbox is made of, bottom first, is one image. */
export class DockerImages {
	readonly #api: DockerApi;
	readonly #stack: string;
	/** By name: those that there are, or may be. */
	readonly #known = new Map<string, Known>();
	/** Lowest layers that the Engine has on top of each other, as texts. */
	readonly #chains = new Set<string>();
	/** Layers that stand elsewhere than at the root, by place and digest; a failure is forgotten. */
	readonly #moved = new Map<string, Promise<MovedLayer>>();

	private constructor(api: DockerApi, stack: string, names: readonly string[]) {
		this.#api = api;
		this.#stack = stack;
		for (const name of names) this.#known.set(name, { work: undefined, wantedAtMs: performance.now() });
	}

	/** Those of an earlier worker are used again, or go when nobody asks for them. */
	static async open(api: DockerApi, node: string): Promise<DockerImages> {
		return new DockerImages(api, stackOf(node), await namesOf(api, stackOf(node)));
	}

	/** Removes every image of a node that no container needs. */
	static async removeAll(api: DockerApi, node: string): Promise<void> {
		for (const name of await namesOf(api, stackOf(node))) await removeImage(api, name);
	}

	/** The image of these layers, loaded if it isn't there. Single flight. @returns the Engine's id of it */
	ensure(layers: readonly PlacedLayer[], source: LayerSource, of?: VersionImage): Promise<Digest> {
		const name = nameOf(this.#stack, layers, of);
		const known: Known = this.#known.get(name) ?? { work: undefined, wantedAtMs: 0 };
		known.wantedAtMs = performance.now();
		this.#known.set(name, known);
		if (known.work !== undefined) return known.work;
		const work = this.#place(name, layers, source, of?.image);
		known.work = work;
		// A failure is forgotten.
		work.catch(() => this.forget(layers, of));
		return work;
	}

	/** The Engine's id of an image that was ensured. @throws Error when it wasn't */
	async idOf(layers: readonly Place[], of?: VersionImage): Promise<Digest> {
		const name = nameOf(this.#stack, layers, of);
		const work = this.#known.get(name)?.work;
		if (work === undefined) throw new Error(`the image ${name} isn't in the Docker Engine`);
		return await work;
	}

	/** What is believed of an image is forgotten: it may be why something failed. */
	forget(layers: readonly Place[], of?: VersionImage): void {
		const known = this.#known.get(nameOf(this.#stack, layers, of));
		if (known !== undefined) known.work = undefined;
	}

	/** Removes images of ours that nobody asked for in so long and no container needs; how many. */
	async drop(unusedForMs: number): Promise<number> {
		const now = performance.now();
		const old = [...this.#known].filter(([, { wantedAtMs }]) => now - wantedAtMs >= unusedForMs);
		let dropped = 0;
		for (const [name] of old) {
			this.#known.delete(name);
			if (await removeImage(this.#api, name)) dropped++;
		}
		if (dropped > 0) this.#chains.clear();
		return dropped;
	}

	/** An image of a tenant's has its base beside it, as no image in the store has: it is one that only sandboxes are made of. */
	async #place(name: string, layers: readonly PlacedLayer[], source: LayerSource, manifest: Digest | undefined): Promise<Digest> {
		if (layers.every(({ below }) => below === undefined)) return await this.#load(name, layers, source, manifest);
		const sources = new Map<Digest, LayerSource>();
		const placed: Layer[] = [];
		for (const { below, ...layer } of layers) {
			const there = below === undefined ? { ...layer, source } : await this.#move(layer, below, source);
			sources.set(there.digest, there.source);
			placed.push(there);
		}
		return await this.#load(name, placed, (digest) => (sources.get(digest) ?? source)(digest), undefined);
	}

	#move(layer: Layer, below: string, source: LayerSource): Promise<MovedLayer> {
		const key = `${below} ${layer.digest}`;
		const known = this.#moved.get(key);
		if (known !== undefined) return known;
		const work = movedLayer(layer, below, source);
		this.#moved.set(key, work);
		work.catch(() => this.#moved.delete(key));
		return work;
	}

	async #load(name: string, layers: readonly Layer[], source: LayerSource, manifest: Digest | undefined): Promise<Digest> {
		const there = await this.#find(name, layers);
		if (there !== undefined) return there;
		const config = manifest === undefined ? ownConfig(layers) : await configOf(manifest, source);
		const archive = { name, config, layers };
		const shared = this.#sharedBelow(layers);
		try {
			await this.#send(imageArchive(archive, layers.length - shared, source));
		} catch (error) {
			// What was there may have been removed by hand; and an Engine may want everything (its containerd store does).
			if (shared === 0) throw error;
			await this.#send(imageArchive(archive, layers.length, source));
		}
		const loaded = await this.#find(name, layers);
		if (loaded === undefined) throw new DockerError("POST /images/load", 0, `${name} isn't the image that was loaded`);
		return loaded;
	}

	/** The image of a name, if it is of these very layers: anybody may have given its name to another. */
	async #find(name: string, layers: readonly Layer[]): Promise<Digest | undefined> {
		const answer = await this.#api.send(`/images/${name}/json`, { accept: [404] });
		const bytes = await answer.toArray();
		if (answer.statusCode === 404) return undefined;
		const { Id, RootFS } = JSON.parse(Buffer.concat(bytes).toString()) as { Id: Digest; RootFS: { Layers?: readonly string[] } };
		if (RootFS.Layers?.join() !== layers.map(({ digest }) => digest).join()) return undefined;
		for (let count = 1; count <= layers.length; count++) this.#chains.add(chainOf(layers, count));
		return Id;
	}

	#sharedBelow(layers: readonly Layer[]): number {
		let count = layers.length;
		while (count > 0 && !this.#chains.has(chainOf(layers, count))) count--;
		return count;
	}

	/** The Engine answers 200 before it has looked at what it gets: what went wrong is in the stream of its answer. */
	async #send(body: AsyncIterable<Uint8Array>): Promise<void> {
		const answer = await this.#api.send("/images/load", { method: "POST", query: { quiet: 1 }, body, answerMs: LOAD_MS });
		const lines = Buffer.concat(await answer.toArray())
			.toString()
			.split("\n")
			.filter((line) => line.startsWith("{"));
		for (const line of lines) {
			const { error } = JSON.parse(line) as { error?: string };
			if (error !== undefined) throw new DockerError("POST /images/load", 0, error);
		}
	}
}

function chainOf(layers: readonly Layer[], count: number): string {
	return layers
		.slice(0, count)
		.map(({ digest }) => digest)
		.join();
}

/** What stacks that share an Engine are told apart by in the names of their images. */
function stackOf(node: string): string {
	return node.replace(/^node_/, "").slice(0, 8);
}

async function namesOf(api: DockerApi, stack: string): Promise<readonly string[]> {
	const filters = JSON.stringify({ reference: [`berth/${stack}/*`, `berth/${stack}/*/*`] });
	const images = await api.ask<readonly { readonly RepoTags: readonly string[] | null }[]>("/images/json", { query: { filters } });
	return images.flatMap(({ RepoTags }) => RepoTags ?? []).filter((name) => name.startsWith(`berth/${stack}/`));
}

/** @returns whether it was there, and went */
async function removeImage(api: DockerApi, name: string): Promise<boolean> {
	// 404: somebody else removed it; 409: a container needs it.
	const answer = await api.send(`/images/${name}`, { method: "DELETE", accept: [404, 409] });
	answer.resume();
	return answer.statusCode === 200;
}

/** What it is called in `docker images`: by the version it is of, else by what is in it. */
function nameOf(stack: string, layers: readonly Place[], of: VersionImage | undefined): string {
	const name = of === undefined ? undefined : `berth/${stack}/${of.project}/${of.function}:${of.version}`;
	if (name !== undefined && NAME.test(name)) return name;
	const places = layers.map(({ digest, below = "" }) => `${below}${digest}`);
	return `berth/${stack}/image:${createHash("sha256").update(places.join()).digest("hex").slice(0, 32)}`;
}

/** The config of the OCI image, so that the Engine's image is that very one. */
async function configOf(manifest: Digest, source: LayerSource): Promise<Uint8Array> {
	const { config } = JSON.parse((await bytesOf(source(manifest))).toString()) as { config: { digest: string } };
	if (!isDigest(config.digest)) throw new Error(`the manifest ${manifest} names no config`);
	return await bytesOf(source(config.digest));
}

/** That of an image which only sandboxes are made of. */
function ownConfig(layers: readonly Layer[]): Uint8Array {
	const rootfs = { type: "layers", diff_ids: layers.map(({ digest }) => digest) };
	return Buffer.from(JSON.stringify({ architecture: ARCHITECTURES[process.arch] ?? process.arch, os: "linux", config: {}, rootfs }));
}

async function bytesOf(pieces: AsyncIterable<Uint8Array>): Promise<Buffer> {
	const bytes: Uint8Array[] = [];
	for await (const piece of pieces) bytes.push(piece);
	return Buffer.concat(bytes);
}
