import {
	type Digest,
	IMAGE_LABELS,
	type Language,
	type Layer,
	languageOf,
	type Manifest,
	MEDIA_TYPES,
	SANDBOX_PATHS,
	SERVE,
} from "@berth/contracts";
import type { Descriptor, ImageStore } from "@berth/registry";

/** Processor names as Go, and so OCI, has them. */
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: "amd64", arm64: "arm64" };

/** The processor that images of this machine are for. */
export const ARCHITECTURE = ARCHITECTURES[process.arch] ?? process.arch;

/** How each language's agent is started. */
const AGENTS: Readonly<Record<Language, readonly string[]>> = {
	node: ["/usr/bin/node", SANDBOX_PATHS.agent],
	python: ["/usr/bin/python3", "-I", "-B", SANDBOX_PATHS.pythonAgent],
	custom: ["/usr/bin/node", SANDBOX_PATHS.bridge],
};

export interface StoredImage {
	readonly digest: Digest;
	readonly manifest: Descriptor;
	/** Whether this very image was there before. */
	readonly existed: boolean;
}

/**
 * Stores config and manifest of an image whose layers are stored (OCI image spec, config.md and
 * manifest.md). No time and no name is in them: the same layers and labels make the same digest.
 */
export async function storeImage(
	images: ImageStore,
	layers: readonly Layer[],
	labels: Readonly<Record<string, string>>,
): Promise<StoredImage> {
	const config = await images.putBlob(
		json({
			architecture: ARCHITECTURE,
			os: "linux",
			config: { User: "1000:1000", WorkingDir: SANDBOX_PATHS.graft, Labels: labels, ...runConfigOf(labels) },
			rootfs: { type: "layers", diff_ids: layers.map(({ digest }) => digest) },
		}),
	);
	const manifest = await images.putBlob(
		json({
			schemaVersion: 2,
			mediaType: MEDIA_TYPES.manifest,
			config: { mediaType: MEDIA_TYPES.config, digest: config.digest, size: config.sizeBytes },
			layers: layers.map(({ digest, sizeBytes }) => ({ mediaType: MEDIA_TYPES.layer, digest, size: sizeBytes })),
		}),
	);
	const descriptor = { mediaType: MEDIA_TYPES.manifest, digest: manifest.digest, size: manifest.sizeBytes };
	return { digest: manifest.digest, manifest: descriptor, existed: manifest.existed };
}

/** How a function's image runs by hand, with nothing of Berth around it: its agent serves HTTP, with the container's own variables. A tenant's image is its own. */
function runConfigOf(labels: Readonly<Record<string, string>>): object {
	const [entry, manifest] = [labels[IMAGE_LABELS.entry], labels[IMAGE_LABELS.manifest]];
	if (entry === undefined || entry === SANDBOX_PATHS.imageStart || manifest === undefined) return {};
	const { runtime } = JSON.parse(manifest) as Manifest;
	return {
		Entrypoint: ["/sbin/tini", "--", ...AGENTS[languageOf(runtime)]],
		Cmd: [SERVE, `${SANDBOX_PATHS.code}/${entry}`],
		Env: ["PATH=/usr/bin:/bin", "HOME=/tmp", "LANG=C.UTF-8"],
		ExposedPorts: { "8080/tcp": {} },
	};
}

function json(value: unknown): Buffer {
	return Buffer.from(JSON.stringify(value));
}
