import type { Socket } from "node:net";
import { EGRESS_LIMITS } from "@berth/contracts";

/** The connections of each project's sandboxes on this node: one project leaves room for the others. */
export class ProjectConnections {
	readonly #open = new Map<string, number>();

	hasRoom(project: string): boolean {
		return this.#of(project) < EGRESS_LIMITS.projectConnections;
	}

	/** Counts until it is closed. */
	keep(project: string, client: Socket): void {
		this.#open.set(project, this.#of(project) + 1);
		client.once("close", () => {
			const left = this.#of(project) - 1;
			if (left > 0) this.#open.set(project, left);
			else this.#open.delete(project);
		});
	}

	#of(project: string): number {
		return this.#open.get(project) ?? 0;
	}
}
