/**
 * An abort signal that SIGINT, SIGTERM or SIGHUP sets off, or a reader of our output that goes away. What it ends cleans
 * up after itself; a third signal ends the process.
 * @returns {AbortSignal}
 */
export function stopSignal() {
	const controller = new AbortController();
	let heard = 0;
	const hear = () => {
		heard++;
		controller.abort(new Error("stopped"));
		if (heard > 2) process.exit(130);
	};
	for (const name of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(name, hear);
	for (const stream of [process.stdout, process.stderr]) stream.on("error", () => controller.abort(new Error("stopped")));
	return controller.signal;
}
