import { createInterface } from "node:readline";
import { LABELS } from "./container-config.js";
import { type DockerApi, DockerError } from "./docker-api.js";

interface ContainerEvent {
	readonly Action: string;
	readonly Actor: { readonly Attributes: Readonly<Record<string, string>> };
}

export interface EndsListener {
	/** The kernel killed a process of it. */
	outOfMemory(sandbox: string): void;
	ended(sandbox: string, exitCode: number): void;
	/** Nobody would hear of an end any more. */
	lost(cause: Error): void;
}

/** One connection says how every container of a node ends, until the signal aborts. @throws DockerError */
export async function hearEnds(api: DockerApi, node: string, closing: AbortSignal, listener: EndsListener): Promise<void> {
	const filters = JSON.stringify({ type: ["container"], event: ["die", "oom"], label: [`${LABELS.node}=${node}`] });
	const events = await api.send("/events", { query: { filters } });
	let cause: Error = new DockerError("GET /events", 0, "the Docker Engine closed the connection");
	events.on("error", (error) => {
		cause = error;
	});
	events.once("close", () => {
		if (!closing.aborted) listener.lost(cause);
	});
	closing.addEventListener("abort", () => events.destroy(), { once: true });
	createInterface({ input: events }).on("line", (line) => {
		const { Action, Actor } = JSON.parse(line) as ContainerEvent;
		const sandbox = Actor.Attributes[LABELS.sandbox] ?? "";
		if (Action === "oom") listener.outOfMemory(sandbox);
		else listener.ended(sandbox, Number(Actor.Attributes["exitCode"]));
	});
}
