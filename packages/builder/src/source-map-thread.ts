import { parentPort } from "node:worker_threads";
import { type MapFile, SourceMaps } from "./source-maps.js";

/** A stack to remap, and its answer. */
export interface StackQuestion {
	readonly id: number;
	readonly file: MapFile;
	readonly stack: string;
}
export type StackAnswer = Pick<StackQuestion, "id" | "stack">;

const maps = new SourceMaps();

parentPort?.on("message", async ({ id, file, stack }: StackQuestion) => {
	parentPort?.postMessage({ id, stack: await maps.remap(file, stack) } satisfies StackAnswer);
});
