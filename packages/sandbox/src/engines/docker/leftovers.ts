import { LABELS } from "./container-config.js";
import { removeContainers } from "./container-removal.js";
import type { DockerApi } from "./docker-api.js";
import { removeBuilds } from "./docker-builds.js";
import { DockerImages } from "./docker-images.js";

/** Removes the sandboxes of a node. */
export async function removeContainersOf(api: DockerApi, node: string): Promise<void> {
	await removeContainers(api, `${LABELS.node}=${node}`);
}

/** Removes the images of a node, of functions and of Dockerfiles: the Engine is others', too, and they would never go by themselves. */
export async function removeImagesOf(api: DockerApi, node: string): Promise<void> {
	await DockerImages.removeAll(api, node);
	await removeBuilds(api, node);
}
