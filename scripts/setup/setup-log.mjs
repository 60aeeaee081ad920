import { appendFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT } from "./places.mjs";

/** What the programs of the set-up print. It is in node_modules; until there is one, in a temporary file. */
export class SetupLog {
	#text = "";
	#path;
	#temporary;

	/** Where it can be read. */
	get path() {
		return this.#path;
	}

	write(text) {
		this.#text += text;
		if (this.#path === undefined || !existsSync(this.#path)) this.#open();
		else appendFileSync(this.#path, text);
	}

	/** Moves it to where it is kept, now that there is a node_modules (npm ci makes a new one). */
	settle() {
		if (this.#path === undefined || !existsSync(join(ROOT, "node_modules"))) return;
		const temporary = this.#temporary;
		this.#temporary = undefined;
		this.#open();
		if (temporary !== undefined) rmSync(temporary, { recursive: true, force: true });
	}

	#open() {
		if (existsSync(join(ROOT, "node_modules"))) {
			mkdirSync(join(ROOT, "node_modules", ".berth"), { recursive: true });
			this.#path = join(ROOT, "node_modules", ".berth", "setup.log");
		} else {
			this.#temporary ??= mkdtempSync(join(tmpdir(), "berth-setup-"));
			this.#path = join(this.#temporary, "setup.log");
		}
		writeFileSync(this.#path, this.#text);
	}
}
