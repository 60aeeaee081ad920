/** How many of each project's sandboxes compute at this moment: so many share what one alone would weigh. */
export class ProjectLoads {
	readonly #heavy = new Map<string, number>();

	of(project: string): number {
		return this.#heavy.get(project) ?? 0;
	}

	add(project: string): void {
		this.#heavy.set(project, this.of(project) + 1);
	}

	remove(project: string): void {
		const left = this.of(project) - 1;
		if (left > 0) this.#heavy.set(project, left);
		else this.#heavy.delete(project);
	}
}
