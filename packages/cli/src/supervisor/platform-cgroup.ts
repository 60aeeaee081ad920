import { readFile, rmdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { codeOf, isMissing } from "../system-errors.js";

/**
 * The cgroup of the stack's own processes, which the launcher has made: there they get the CPU before sandboxes do.
 * This process goes into it with all that it has started; what it starts later is born there.
 */
export class PlatformCgroup {
	readonly #directory: string;
	/** Where this process was before. */
	readonly #before: string;

	private constructor(directory: string, before: string) {
		this.#directory = directory;
		this.#before = before;
	}

	/**
	 * @param others what this process has started so far
	 * @throws when the cgroup can't be written
	 */
	static async enter(directory: string, others: readonly number[]): Promise<PlatformCgroup> {
		const path = ownPathOf(await readFile("/proc/self/cgroup", "utf8"));
		for (const pid of [process.pid, ...others]) await move(pid, directory);
		return new PlatformCgroup(directory, join(dirname(dirname(directory)), path));
	}

	/** Back to where it was; the cgroup is removed, and the stack's own that it is in, when everybody else in it has ended. */
	async leave(): Promise<void> {
		await move(process.pid, this.#before);
		for (const directory of [this.#directory, dirname(this.#directory)]) {
			try {
				await rmdir(directory);
			} catch (error) {
				// A sweep of the launcher's was here first; or one that is still ending stays in it, and the next stack takes it over.
				if (!isMissing(error) && codeOf(error) !== "EBUSY") throw error;
			}
		}
	}
}

/** Of /proc/self/cgroup (cgroups(7)): the path in v1's hierarchy of the CPU, or in that of v2. */
function ownPathOf(text: string): string {
	const lines = text.split("\n").map((line) => /^\d+:([^:]*):(.*)$/.exec(line));
	const own = lines.find((match) => match?.[1]?.split(",").includes("cpu")) ?? lines.find((match) => match?.[1] === "");
	return own?.[2] ?? "/";
}

async function move(pid: number, to: string): Promise<void> {
	try {
		await writeFile(join(to, "cgroup.procs"), String(pid));
	} catch (error) {
		// It has ended.
		if (codeOf(error) !== "ESRCH") throw error;
	}
}
