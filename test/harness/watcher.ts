import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const PROCESS = fileURLToPath(new URL("./watcher-process.mjs", import.meta.url));

/**
 * Watches over a server's end: a process in a session of its own that ends it, and removes its directory, once this one is gone, however
 * that ended. @param directory what the server keeps, also when it is stopped and started again
 */
export function watchOver({ pid }: ChildProcess, directory: string): void {
	const watcher = spawn(process.execPath, [PROCESS, String(pid), directory], { detached: true, stdio: ["pipe", "ignore", "inherit"] });
	watcher.unref();
	(watcher.stdin as unknown as { unref(): void }).unref();
}
