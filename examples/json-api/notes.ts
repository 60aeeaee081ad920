import { existsSync, readFileSync, writeFileSync } from "node:fs";

const FILE = "/tmp/notes.json";

export interface Note {
	readonly id: string;
	readonly text: string;
}

/**
 * Notes in memory and in /tmp. Both live as long as this sandbox: with a concurrency of 1 there is one at a time, and
 * when it is idle for long they are gone. What must stay belongs into a database.
 */
class Notes {
	readonly #notes: Map<string, Note>;

	constructor() {
		const kept: readonly Note[] = existsSync(FILE) ? JSON.parse(readFileSync(FILE, "utf8")) : [];
		this.#notes = new Map(kept.map((note) => [note.id, note]));
	}

	all(): readonly Note[] {
		return [...this.#notes.values()];
	}

	get(id: string): Note | undefined {
		return this.#notes.get(id);
	}

	add(text: string): Note {
		const note = { id: crypto.randomUUID(), text };
		this.#notes.set(note.id, note);
		this.#save();
		return note;
	}

	remove(id: string): Note | undefined {
		const note = this.#notes.get(id);
		if (this.#notes.delete(id)) this.#save();
		return note;
	}

	#save(): void {
		writeFileSync(FILE, JSON.stringify(this.all()));
	}
}

export const notes = new Notes();
