import { createInterface } from "node:readline";
import { LABELS } from "./container-config.js";
import { type DockerApi, DockerError } from "./docker-api.js";

/** The exit code of what SIGKILL has ended. */
const KILLED = 128 + 9;
/** The Engine's word that the kernel did that, for its memory, may come behind that of its end (seen on a busy machine): so long it is waited for, milliseconds. */
const LATE_WORD_MS = 500;

interface ContainerEvent {
	readonly Action: string;
	readonly Actor: { readonly Attributes: Readonly<Record<string, string>> };
}

export interface EndsListener {
	/** The kernel killed a process of it. */
	outOfMemory(sandbox: string): void;
	/** Whether it is known who ends it with SIGKILL: we do, or the kernel has. */
	knowsKiller(sandbox: string): boolean;
	ended(sandbox: string, exitCode: number): void;
	/** Nobody would hear of an end any more. */
	lost(cause: Error): void;
}

/** One connection says how every container of a node ends, until the signal aborts. @throws DockerError */
export async function hearEnds(api: DockerApi, node: string, closing: AbortSignal, listener: EndsListener): Promise<void> {
	const filters = JSON.stringify({ type: ["container"], event: ["die", "oom"], label: [`${LABELS.node}=${node}`] });
	const events = await api.send("/events", { query: { filters } });
	/** Ends that are told in a moment, or as soon as it is known what came first. */
	const held = new Map<string, { readonly timer: NodeJS.Timeout; readonly tell: () => void }>();
	const release = (sandbox: string) => {
		const end = held.get(sandbox);
		clearTimeout(end?.timer);
		held.delete(sandbox);
		end?.tell();
	};
	let cause: Error = new DockerError("GET /events", 0, "the Docker Engine closed the connection");
	events.on("error", (error) => {
		cause = error;
	});
	events.once("close", () => {
		// Nothing more is said of these.
		for (const sandbox of [...held.keys()]) release(sandbox);
		if (!closing.aborted) listener.lost(cause);
	});
	closing.addEventListener("abort", () => events.destroy(), { once: true });
	createInterface({ input: events }).on("line", (line) => {
		const { Action, Actor } = JSON.parse(line) as ContainerEvent;
		const sandbox = Actor.Attributes[LABELS.sandbox] ?? "";
		if (Action === "oom") {
			listener.outOfMemory(sandbox);
			release(sandbox);
			return;
		}
		const exitCode = Number(Actor.Attributes["exitCode"]);
		const tell = () => listener.ended(sandbox, exitCode);
		if (exitCode !== KILLED || listener.knowsKiller(sandbox)) tell();
		else held.set(sandbox, { timer: setTimeout(() => release(sandbox), LATE_WORD_MS), tell });
	});
}
