import { BerthError, type Volume, type VolumeList, volumeIdOf, volumeInputSchema } from "@berth/contracts";
import type { Request, Response } from "express";
import { anyNode, askNode } from "./ask-node.js";
import { principalOf } from "./auth.js";
import { parseJson } from "./json.js";
import { nameFrom } from "./names.js";
import type { Services } from "./services.js";
import { validate } from "./validation.js";

const BODY_BYTES = 4096;
/** A large one takes its time to be made, or removed, milliseconds. */
const NODE_MS = 60_000;

/** `GET /v1/volumes` */
export async function listVolumes(request: Request, response: Response, { functions }: Services): Promise<void> {
	const { project } = principalOf(request);
	response.json({ volumes: await functions.volumes.list(project) } satisfies VolumeList);
}

/** `GET /v1/volumes/{name}` */
export async function getVolume(request: Request, response: Response, { functions }: Services): Promise<void> {
	const { project } = principalOf(request);
	response.json((await functions.volumes.get(project, nameFrom(request.params["name"]))) satisfies Volume);
}

/** `PUT /v1/volumes/{name}`: one that is on record and was lost with its node's disk is made again, empty. */
export async function makeVolume(request: Request, response: Response, services: Services): Promise<void> {
	const { project } = principalOf(request);
	const { volumes } = services.functions;
	const name = nameFrom(request.params["name"]);
	const body = await services.bodies.read(request, BODY_BYTES);
	const { sizeMiB } = validate(volumeInputSchema, body.length === 0 ? {} : parseJson(body, "the body"), {
		code: "invalid_request",
		whole: "body",
	});
	const record = await volumes.begin(project, name, { sizeMiB, node: anyNode(services) });
	refuseOther(name, record, sizeMiB);
	const question = { kind: "makeVolume", volume: volumeIdOf(project, name), sizeMiB } as const;
	try {
		await askNode(nodeOf(record, services), question, services, NODE_MS);
	} catch (error) {
		// When it didn't answer it may have done it: then the record stays, to be asked for again.
		if (!(error instanceof BerthError && error.code === "unavailable")) await volumes.notMade(project, name);
		throw error;
	}
	await volumes.made(project, name);
	response.status(record.state === "making" ? 201 : 200).json(await volumes.get(project, name));
}

/** `DELETE /v1/volumes/{name}` */
export async function removeVolume(request: Request, response: Response, services: Services): Promise<void> {
	const { project } = principalOf(request);
	const { volumes } = services.functions;
	const name = nameFrom(request.params["name"]);
	await volumes.beginRemoval(project, name);
	const volume = await volumes.get(project, name);
	await askNode(nodeOf(volume, services), { kind: "removeVolume", volume: volume.id }, services, NODE_MS);
	await volumes.removed(project, name);
	response.status(204).end();
}

function refuseOther(name: string, { sizeMiB, state }: Pick<Volume, "sizeMiB" | "state">, wanted: number): void {
	if (state === "removing")
		throw new BerthError("volume_in_use", `${name} is being removed; DELETE /v1/volumes/${name} again, then make it`);
	if (sizeMiB === wanted) return;
	const message = `${name} has ${sizeMiB} MiB, and a volume's size stays; make another one, and copy what is in this`;
	throw new BerthError("invalid_request", `sizeMiB: ${message}`, { issues: [{ field: "sizeMiB", message }] });
}

/**
 * The node where it was made. Where there is one node by whatever id, it is the same by a new name; else the only one
 * that is up may be another, without the data.
 */
function nodeOf({ node }: Pick<Volume, "node">, services: Services): string {
	return services.hasOneNode ? anyNode(services) : node;
}
