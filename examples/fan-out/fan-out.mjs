// Has many numbers looked at in the background, and says how far that is: node examples/fan-out/fan-out.mjs [count]
// BERTH_URL and BERTH_API_KEY say where: `berth up` prints both.
import { createClient } from "@berth/client";

/** Requests at the same time. */
const AT_ONCE = 64;
const count = Number(process.argv[2] ?? 10_000);
if (!Number.isInteger(count) || count < 1) stop(`count is ${process.argv[2]}; a whole number, at least 1, is wanted`);
if (!process.env.BERTH_API_KEY) stop("BERTH_API_KEY is missing: the operator's is in admin.key of the data directory");
const client = createClient({ url: process.env.BERTH_URL ?? "http://127.0.0.1:8080", key: process.env.BERTH_API_KEY });

function stop(why) {
	console.error(why);
	process.exit(2);
}

/** Does it for each, some at a time, and says after each how many are done. */
async function each(items, what, act) {
	let [next, done] = [0, 0];
	const work = async () => {
		while (next < items.length) {
			await act(items[next++]);
			done++;
			if (done % 100 === 0 || done === items.length) process.stderr.write(`\r${what} ${done}/${items.length}`);
		}
	};
	await Promise.all(Array.from({ length: AT_ONCE }, work));
	process.stderr.write("\n");
}

const ids = [];
await each([...Array(count).keys()], "accepted", async (number) => {
	const { id } = await client.invokeAsync("fan-out", { json: { number } });
	ids.push(id);
});
let [primes, failed] = [0, 0];
await each(ids, "settled", async (id) => {
	const { outcome, result } = await client.settled(id);
	if (outcome !== "succeeded") failed++;
	else if (result.json.isPrime) primes++;
});
console.log(JSON.stringify({ count, primes, failed }));
await client.close();
