const LONG_MS = 2 ** 30;

/**
 * An abort signal that SIGINT, SIGTERM or SIGHUP sets off. What it ends cleans up after itself; a third signal ends the process.
 * @returns {{signal: AbortSignal, untilStopped: () => Promise<void>}} `untilStopped` keeps the process alive until then
 */
export function stopSignal() {
	const controller = new AbortController();
	const { signal } = controller;
	let heard = 0;
	const hear = () => {
		heard++;
		controller.abort(new Error("stopped"));
		if (heard > 2) process.exit(130);
	};
	for (const name of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(name, hear);
	const untilStopped = () =>
		new Promise((resolve) => {
			// Waiting for a signal alone keeps no process alive.
			const alive = setInterval(() => undefined, LONG_MS);
			const stopped = () => {
				clearInterval(alive);
				resolve();
			};
			if (signal.aborted) stopped();
			else signal.addEventListener("abort", stopped, { once: true });
		});
	return { signal, untilStopped };
}
