import { expect, test } from "vitest";
import { dockerfilesMissing } from "./dockerfiles.js";

test("Dockerfiles are built by a Docker Engine alone, and where the operator says so", () => {
	expect(dockerfilesMissing({ engine: "oci", dockerBuilds: "offline" })).toMatch(/engine is oci here/);
	expect(dockerfilesMissing({ engine: "docker", dockerBuilds: "refused" })).toMatch(/BERTH_DOCKER_BUILDS=offline/);
	expect(dockerfilesMissing({ engine: "docker", dockerBuilds: "offline" })).toBeUndefined();
	expect(dockerfilesMissing({ engine: "docker", dockerBuilds: "online" })).toBeUndefined();
});
