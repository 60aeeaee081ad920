import { type Digest, type ImageReference, SANDBOX_PATHS } from "@berth/contracts";
import type { ImageStore } from "@berth/registry";
import { originalPositionFor, TraceMap } from "@jridgewell/trace-mapping";
import { readFromLayer } from "./tar-reader.js";

/** Maps kept parsed, by the bytes of their JSON. */
const CACHE_BYTES = 32 * 1024 * 1024;
/** What the memory of a layer without a map counts with: of those, too, there is an end. */
const LEAST_BYTES = 1024;
/** A map is read and decoded while everybody else waits: a larger one isn't worth that (16 MiB: 0.9 s). */
const MOST_MAP_BYTES = 4 * 1024 * 1024;
/** Frames of a stack that are looked at. */
const FRAMES = 200;

const FRAME = new RegExp(`(?:file://)?${SANDBOX_PATHS.code}/index\\.[cm]js:(\\d+):(\\d+)`, "g");

/** Turns places in the bundle into places in the source: `/function/code/index.cjs:90:7` → `src/a.ts:12:3`. */
export function remapStack(stack: string, map: TraceMap): string {
	let left = FRAMES;
	return stack.replace(FRAME, (frame, line: string, column: string) => {
		if (left-- <= 0) return frame;
		const place = originalPositionFor(map, { line: Number(line), column: Math.max(0, Number(column) - 1) });
		return place.source === null ? frame : `${place.source}:${place.line}:${place.column + 1}`;
	});
}

/** A map's JSON, parsed; undefined when it isn't a map. It comes out of a build sandbox: anything may stand in it. */
export function parseMap(json: Uint8Array): TraceMap | undefined {
	try {
		return new TraceMap(Buffer.from(json).toString());
	} catch {
		return undefined;
	}
}

/** The source maps of functions that throw, least recently used ones forgotten. */
export class SourceMaps {
	readonly #images: ImageStore;
	readonly #maps = new Map<Digest, { readonly map: TraceMap | undefined; readonly bytes: number }>();
	#bytes = 0;

	constructor(images: ImageStore) {
		this.#images = images;
	}

	/** A stack in terms of the function's source; as it was when there is no map. Message and other frames stay. */
	async remap(image: Pick<ImageReference, "layers" | "entry">, stack: string): Promise<string> {
		const code = image.layers.at(-1);
		if (code === undefined || !stack.includes(SANDBOX_PATHS.code)) return stack;
		const map = await this.#mapOf(code.digest, image.entry);
		return map === undefined ? stack : safely(stack, map);
	}

	async #mapOf(layer: Digest, entry: string): Promise<TraceMap | undefined> {
		const known = this.#maps.get(layer);
		if (known !== undefined) {
			this.#maps.delete(layer);
			this.#maps.set(layer, known);
			return known.map;
		}
		// A layer that can't be read costs the places in the source, not the error that they belong to. It may be readable the next time.
		const json = await readFromLayer(this.#images.blobPath(layer), `${entry}.map`).catch(() => null);
		if (json === null) return undefined;
		const usable = json !== undefined && json.length <= MOST_MAP_BYTES ? json : undefined;
		const map = usable === undefined ? undefined : parseMap(usable);
		this.#keep(layer, map, Math.max(LEAST_BYTES, usable?.length ?? 0));
		return map;
	}

	#keep(layer: Digest, map: TraceMap | undefined, bytes: number): void {
		this.#bytes += bytes - (this.#maps.get(layer)?.bytes ?? 0);
		this.#maps.set(layer, { map, bytes });
		for (const [digest, { bytes: freed }] of this.#maps) {
			if (this.#bytes <= CACHE_BYTES) return;
			this.#maps.delete(digest);
			this.#bytes -= freed;
		}
	}
}

/** Mappings are decoded at the first look into them: a broken map shows only then. */
function safely(stack: string, map: TraceMap): string {
	try {
		return remapStack(stack, map);
	} catch {
		return stack;
	}
}
