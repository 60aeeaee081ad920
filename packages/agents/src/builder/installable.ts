import type { Fields } from "./json-fields.js";

/** What npm's installer gets, and nothing else of a source: two files. */
export interface Installable {
	readonly manifest: Fields;
	readonly lock: Fields;
}
