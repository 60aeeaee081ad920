import { text } from "node:stream/consumers";
import type { DockerApi } from "./docker-api.js";

/** Every container with a label, and a value of it if one is named (`name=value`). */
export async function removeContainers(api: DockerApi, label: string): Promise<void> {
	const filters = JSON.stringify({ label: [label] });
	const left = await api.ask<readonly { readonly Id: string }[]>("/containers/json", { query: { all: 1, filters } });
	await Promise.all(left.map(({ Id }) => removeContainer(api, Id)));
}

/** 404: it is gone; 409: somebody else removes it right now. */
export async function removeContainer(api: DockerApi, container: string): Promise<void> {
	const answer = await api.send(`/containers/${container}`, { method: "DELETE", query: { force: 1, v: 1 }, accept: [404, 409] });
	answer.resume();
	if (answer.statusCode !== 409) return;
	const gone = await api.send(`/containers/${container}/wait`, { method: "POST", query: { condition: "removed" }, accept: [404] });
	// The head comes at once; the body, when it is removed.
	await text(gone);
}
