import { closeRedis, openRedis } from "@berth/redis";
import { RedisServer } from "@berth/redis/testing";
import { expect, test } from "vitest";
import { backgroundRecordOf, functionQueueOf, QUEUE_PREFIX } from "../keys.js";
import { openInvocationQueue } from "../open.js";
import { FUNCTION_RECORDS, requestOf } from "../testing/lanes.js";
import { LoopDisk } from "../testing/loop-disk.js";

const EACH = 20;
const CUTS = 5;

/** Cuts the power of a durable Redis right after so many invocations were acknowledged, again and again. @returns how many of them aren't there then, for each cut */
async function lostIn(appendfsync: "always" | "everysec"): Promise<readonly number[]> {
	await using disk = await LoopDisk.make();
	await using server = await RedisServer.start("--dir", disk.path, "--appendfsync", appendfsync);
	const gateway = await openInvocationQueue({
		durableUrl: server.url,
		fastUrl: server.url,
		gatewayId: "gw_1",
		functionRecords: FUNCTION_RECORDS,
	});
	const lost: number[] = [];
	try {
		for (let cut = 0; cut < CUTS; cut++) {
			const ids: string[] = [];
			for (let n = 0; n < EACH; n++) {
				const request = requestOf(`${cut} ${n}`);
				await gateway.enqueue(request);
				ids.push(request.id);
			}
			server.freeze();
			try {
				lost.push(await disk.whenCut(async (path) => EACH - (await keptOf(path, ids))));
			} finally {
				server.resume();
			}
		}
	} finally {
		await gateway.close();
	}
	return lost;
}

/** How many of these invocations a server that is started on these files has, job and record. */
async function keptOf(path: string, ids: readonly string[]): Promise<number> {
	await using server = await RedisServer.start("--dir", path);
	const [redis] = await openRedis([{ url: server.url, use: "patient", name: "after" }]);
	try {
		const there = await Promise.all(
			ids.map((id) => redis.exists(backgroundRecordOf(id), `${QUEUE_PREFIX}:${functionQueueOf("default/echo")}:${id}`)),
		);
		return there.filter((count) => count === 2).length;
	} finally {
		await closeRedis(redis);
	}
}

test("with appendfsync always no power cut loses an invocation that was accepted", async () => {
	expect(await lostIn("always")).toEqual(Array.from({ length: CUTS }, () => 0));
});

test("with appendfsync everysec it loses what was accepted since the last sync: the embedded durable Redis isn't set so", async () => {
	expect(Math.max(...(await lostIn("everysec")))).toBeGreaterThan(0);
});
