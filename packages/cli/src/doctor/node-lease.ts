import { nodeIdOf, type Settings } from "@berth/config";
import { messageOf } from "../system-errors.js";
import { type Check, failed, ok, warning } from "./check.js";
import { mendOfRedis } from "./mends.js";
import { askRedis, RedisError } from "./redis-connection.js";

/** What a worker renews every few seconds while it lives, as the queue writes it. */
const leaseOf = (node: string) => `berth:node:${node}`;

/** What it says of itself there. */
interface Lease {
	readonly draining?: boolean;
	readonly returns?: boolean;
}

/** Whether gateways know the worker of this machine: it is alive, has its fast Redis, and is listed there. */
export async function checkNode(settings: Settings): Promise<Check> {
	const node = nodeIdOf(settings);
	const mend = "Read logs/worker.log in the data directory: the supervisor starts again what ended.";
	try {
		const [reply] = await askRedis(settings.fastRedisUrl, [["GET", leaseOf(node)]]);
		if (reply instanceof RedisError) throw reply;
		if (typeof reply !== "string") return failed("node", `${node} isn't listed on the fast Redis: gateways give it nothing.`, mend);
		const { draining, returns } = JSON.parse(reply) as Lease;
		if (returns === true) return failed("node", `${node} is being started again.`, "Wait a moment.");
		if (draining === true)
			return warning(
				"node",
				`${node} is drained or stops: it takes nothing new.`,
				`\`berth drain ${node} --undo\` has it take work again.`,
			);
		return ok("node", `${node} is listed on the fast Redis, and takes work.`);
	} catch (error) {
		const found = `Whether ${node} is listed on the fast Redis can't be seen: ${messageOf(error).replace(/\.$/, "")}.`;
		return failed("node", found, await mendOfRedis("fast", settings));
	}
}
