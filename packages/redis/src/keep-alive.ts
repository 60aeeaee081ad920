import type { Redis } from "ioredis";

/** Milliseconds. */
const ASK_MS = 2000;

/** Asks a connection that only listens whether it is still one: what is never asked anything doesn't notice that nobody is there. Ends with it. */
export function keepAlive(redis: Redis): void {
	let asking = false;
	const timer = setInterval(() => {
		if (asking || redis.status !== "ready") return;
		asking = true;
		redis
			.ping()
			// The connection is lost then, and made anew: its own events say so.
			.catch(() => undefined)
			.finally(() => {
				asking = false;
			});
	}, ASK_MS);
	timer.unref();
	redis.once("end", () => clearInterval(timer));
}
