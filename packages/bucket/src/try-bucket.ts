import { randomBytes } from "node:crypto";
import type { Bucket } from "./bucket.js";

/** Writes an object, reads it, finds it in the list and removes it. @throws BerthError `unavailable` naming what can't be done */
export async function tryBucket(bucket: Bucket): Promise<void> {
	const name = `probe/${randomBytes(8).toString("hex")}`;
	const bytes = randomBytes(64);
	await bucket.put(name, bytes);
	try {
		const found = await bucket.find(name);
		if (found === undefined || !found.equals(bytes)) throw bucket.error("what was just written isn't read again");
		if (!(await bucket.names("probe/")).includes(name.slice("probe/".length)))
			throw bucket.error("what was just written isn't in its list");
	} finally {
		await bucket.remove(name);
	}
}
