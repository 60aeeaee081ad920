import { stat } from "node:fs/promises";
import { request } from "node:http";
import { text } from "node:stream/consumers";
import type { Settings } from "@berth/config";
import { isMissing, messageOf } from "../system-errors.js";
import { type Check, failed, ok } from "./check.js";

/** The least Docker Engine: of 20.10. */
const LEAST_API = [1, 41] as const;
const ANSWER_MS = 5000;

interface DockerVersion {
	readonly Version: string;
	readonly ApiVersion: string;
}

/** What makes the sandboxes, whether it can be had, and whether the other one would be the better choice here. */
export async function checkEngine({ engine, dockerSocket }: Pick<Settings, "engine" | "dockerSocket">): Promise<Check> {
	return engine === "docker" ? await docker(dockerSocket) : await oci(dockerSocket);
}

async function oci(dockerSocket: string): Promise<Check> {
	const choice =
		"oci: an OCI runtime through Berth's own launcher. The right one on Linux as root: first starts are prewarmed, and every sandbox has a user namespace.";
	const version = await versionAt(dockerSocket).catch(() => undefined);
	if (version === undefined) return ok("engine", choice);
	return ok(
		"engine",
		`${choice} A Docker Engine (${version.Version}) is here, too; BERTH_ENGINE=docker is for where containers have to be its own.`,
	);
}

async function docker(socket: string): Promise<Check> {
	const otherwise = "or set BERTH_ENGINE=oci, which needs none";
	let version: DockerVersion;
	try {
		if ((await stat(socket)).gid === 0)
			return failed(
				"engine",
				`${socket} belongs to the group root, which no worker is put into.`,
				`Start dockerd with --group docker, ${otherwise}.`,
			);
		version = await versionAt(socket);
	} catch (error) {
		const found = isMissing(error)
			? `There is no Docker Engine at ${socket}.`
			: `The Docker Engine at ${socket} doesn't answer: ${messageOf(error)}.`;
		return failed("engine", found, `Start it (systemctl start docker), name its socket with BERTH_DOCKER_SOCKET, ${otherwise}.`);
	}
	const [major = 0, minor = 0] = version.ApiVersion.split(".").map(Number);
	if (major < LEAST_API[0] || (major === LEAST_API[0] && minor < LEAST_API[1]))
		return failed(
			"engine",
			`The Docker Engine ${version.Version} is too old (API ${version.ApiVersion}).`,
			`Install 20.10 or newer, ${otherwise}.`,
		);
	return ok(
		"engine",
		`docker: Docker Engine ${version.Version} at ${socket}. Each first start boots a container, sandboxes have no user namespace, and the worker is as good as root; oci has none of that.`,
	);
}

/** @throws Error when nobody answers there as a Docker Engine does */
function versionAt(socketPath: string): Promise<DockerVersion> {
	return new Promise((resolve, reject) => {
		const asked = request({ socketPath, path: "/version", signal: AbortSignal.timeout(ANSWER_MS) });
		asked.once("error", reject);
		asked.once("response", (response) => {
			text(response)
				.then((answer) => resolve(JSON.parse(answer) as DockerVersion))
				.catch(reject);
		});
		asked.end();
	});
}
