import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type Digest, MEDIA_TYPES } from "@berth/contracts";
import { BlobDirectory } from "./blobs.js";
import { isThere, openDirectory, writeDurably } from "./files.js";

const REF_NAME = "org.opencontainers.image.ref.name";

/** A descriptor of the OCI image spec. */
export interface Descriptor {
	readonly mediaType: string;
	readonly digest: Digest;
	readonly size: number;
	readonly annotations?: Readonly<Record<string, string>>;
}

interface Index {
	readonly schemaVersion: 2;
	readonly mediaType: string;
	readonly manifests: readonly Descriptor[];
}

/** An OCI image layout (image-spec v1.1, image-layout.md) in a directory, with one writer: this node's worker. */
export class ImageLayout {
	readonly blobs: BlobDirectory;
	readonly #directory: string;
	#tail: Promise<unknown> = Promise.resolve();

	private constructor(directory: string, blobs: BlobDirectory) {
		this.#directory = directory;
		this.blobs = blobs;
	}

	static async open(directory: string): Promise<ImageLayout> {
		await openDirectory(directory);
		const layout = new ImageLayout(directory, await BlobDirectory.open(join(directory, "blobs", "sha256")));
		const marker = join(directory, "oci-layout");
		if (!(await isThere(marker))) await writeDurably(marker, Buffer.from(JSON.stringify({ imageLayoutVersion: "1.0.0" })));
		if (!(await isThere(layout.#index))) await layout.#write([]);
		return layout;
	}

	/** The manifest that a name stands for. */
	async resolve(name: string): Promise<Descriptor | undefined> {
		return (await this.#read()).find(({ annotations }) => annotations?.[REF_NAME] === name);
	}

	/** Points a name at a manifest, in place of what it stood for. */
	tag(name: string, manifest: Descriptor): Promise<void> {
		return this.#change((all) => [...all.filter((one) => one.annotations?.[REF_NAME] !== name), { ...manifest, annotations: { ...manifest.annotations, [REF_NAME]: name } }]);
	}

	/** Forgets every name that starts so, and removes the blobs that nothing points at any more. */
	async untag(prefix: string): Promise<void> {
		await this.#change((all) => all.filter((one) => !(one.annotations?.[REF_NAME] ?? "").startsWith(prefix)));
	}

	#change(edit: (manifests: readonly Descriptor[]) => readonly Descriptor[]): Promise<void> {
		const step = this.#tail.then(async () => this.#write(edit(await this.#read())));
		this.#tail = step.catch(() => undefined);
		return step;
	}

	async #read(): Promise<readonly Descriptor[]> {
		return (JSON.parse(await readFile(this.#index, "utf8")) as Index).manifests;
	}

	#write(manifests: readonly Descriptor[]): Promise<void> {
		const index: Index = { schemaVersion: 2, mediaType: MEDIA_TYPES.index, manifests };
		return writeDurably(this.#index, Buffer.from(JSON.stringify(index)));
	}

	get #index(): string {
		return join(this.#directory, "index.json");
	}
}
