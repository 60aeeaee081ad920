import { Worker } from "node:worker_threads";

/** A thread that sleeps until each beat: timers have a resolution of a millisecond, a futex's wait has one of microseconds. */
const THREAD = `
const { parentPort, workerData } = require("node:worker_threads");
const { periodMs, origin, startAt, untilAt } = workerData;
const never = new Int32Array(new SharedArrayBuffer(4));
const now = () => performance.timeOrigin + performance.now() - origin;
for (let beat = 0, at = startAt; at < untilAt; at = startAt + ++beat * periodMs) {
	const left = at - now();
	if (left > 0) Atomics.wait(never, 0, 0, left);
	parentPort.postMessage(undefined);
}
`;

/**
 * Beats at a fixed period, from a thread of its own that spends no CPU between beats.
 * @param startAt, untilAt as `performance.now()` of this thread has it
 * @returns when the last beat was heard
 */
export async function beatEvery(
	{ periodMs, startAt, untilAt, signal }: { periodMs: number; startAt: number; untilAt: number; signal?: AbortSignal | undefined },
	beat: () => void,
): Promise<void> {
	const worker = new Worker(THREAD, { eval: true, workerData: { periodMs, origin: performance.timeOrigin, startAt, untilAt } });
	const stop = () => void worker.terminate();
	signal?.addEventListener("abort", stop, { once: true });
	try {
		await new Promise<void>((resolve, reject) => {
			worker.on("message", beat);
			worker.once("error", reject);
			worker.once("exit", () => resolve());
		});
	} finally {
		signal?.removeEventListener("abort", stop);
	}
	signal?.throwIfAborted();
}
