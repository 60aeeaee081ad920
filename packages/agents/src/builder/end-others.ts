/** Ends every process of the sandbox but its init and this one: a package's own may have left its group. */
export function endOthers(): void {
	try {
		process.kill(-1, "SIGKILL");
	} catch (error) {
		// Nothing else runs.
		if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
	}
}
