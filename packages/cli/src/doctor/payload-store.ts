import { Bucket, tryBucket } from "@berth/bucket";
import type { Settings } from "@berth/config";
import { messageOf } from "../system-errors.js";
import { type Check, failed, ok } from "./check.js";

/** Whether an object can be written to the bucket of BERTH_PAYLOAD_STORE, read, listed and removed. */
export async function checkPayloadStore({ payloadStore }: Pick<Settings, "payloadStore">): Promise<readonly Check[]> {
	if (payloadStore === undefined) return [];
	const bucket = new Bucket(payloadStore);
	try {
		await tryBucket(bucket);
		return [ok("payload store", `Objects can be written to ${bucket.name}, read, listed and removed.`)];
	} catch (error) {
		return [
			failed("payload store", messageOf(error), "Mend BERTH_PAYLOAD_STORE, or the store: larger bodies, results and logs can't be kept."),
		];
	}
}
