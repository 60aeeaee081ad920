import { SANDBOX_PATHS } from "@berth/contracts";
import { readFromLayer } from "@berth/registry/layer-reader";
import { originalPositionFor, TraceMap } from "@jridgewell/trace-mapping";

/** Maps kept parsed, by the bytes of their JSON; one of nothing but mappings takes 35 times as much (measured). */
const CACHE_BYTES = 8 * 1024 * 1024;
/** A larger one isn't worth what it takes: 4 MiB of nothing but mappings are 0.5 s to read. */
const MOST_MAP_BYTES = 4 * 1024 * 1024;
/** Functions without a map count as well. */
const MOST_MAPS = 1000;
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

/** Where a map is. */
export interface MapFile {
	/** The code layer's blob. */
	readonly layer: string;
	readonly name: string;
}

interface Kept {
	readonly map: Promise<TraceMap | undefined>;
	bytes: number;
}

/** The source maps of functions that throw, least recently used ones forgotten. Of those who want the same one at the same time one reads it. */
export class SourceMaps {
	readonly #maps = new Map<string, Kept>();
	#bytes = 0;

	/** A stack in terms of the function's source; as it was when there is no map. Message and other frames stay. */
	async remap(file: MapFile, stack: string): Promise<string> {
		const key = `${file.layer} ${file.name}`;
		const kept = this.#maps.get(key) ?? this.#read(key, file);
		this.#maps.delete(key);
		this.#maps.set(key, kept);
		const map = await kept.map;
		return map === undefined ? stack : safely(stack, map);
	}

	#read(key: string, { layer, name }: MapFile): Kept {
		const kept: Kept = {
			map: readFromLayer(layer, name).then(
				(json) => {
					const usable = json !== undefined && json.length <= MOST_MAP_BYTES ? json : undefined;
					if (this.#maps.get(key) === kept) this.#count(kept, usable?.length ?? 0);
					return usable === undefined ? undefined : parseMap(usable);
				},
				() => {
					// A layer that can't be read costs the places in the source, not the error that they belong to. It may be readable the next time.
					if (this.#maps.get(key) === kept) this.#maps.delete(key);
					return undefined;
				},
			),
			bytes: 0,
		};
		return kept;
	}

	#count(kept: Kept, bytes: number): void {
		kept.bytes = bytes;
		this.#bytes += bytes;
		for (const [key, { bytes: freed }] of this.#maps) {
			if (this.#bytes <= CACHE_BYTES && this.#maps.size <= MOST_MAPS) return;
			this.#maps.delete(key);
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
