import type { Settings } from "./settings.js";

/** Why no function may be a Dockerfile, a sentence without its end; undefined when one may. */
export function dockerfilesMissing({ engine, dockerBuilds }: Pick<Settings, "engine" | "dockerBuilds">): string | undefined {
	if (engine !== "docker")
		return "a Dockerfile is built by a Docker Engine, and the engine is oci here; build the image elsewhere and deploy that (berth deploy --image, or what docker save writes)";
	if (dockerBuilds === "refused")
		return "Dockerfiles aren't permitted here; the operator permits them with BERTH_DOCKER_BUILDS=offline, or online";
	return undefined;
}
