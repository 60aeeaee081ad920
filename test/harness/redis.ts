import { createConnection } from "node:net";
import { join } from "node:path";

/** Every key of a stack's durable Redis, sorted, except those that a queue's own upkeep comes and goes with. */
export async function durableKeysOf(dataDir: string): Promise<readonly string[]> {
	const reply = await ask(join(dataDir, "run", "durable.sock"), ["KEYS", "*"]);
	return reply.filter((key) => !/:(?:stalled-check|stalled|lock)\b/.test(key)).sort();
}

const LASTING = `local lasting = {}
for _, key in ipairs(redis.call("KEYS", "*")) do
	if redis.call("PTTL", key) == -1 then lasting[#lasting + 1] = key end
end
return lasting`;

/** Keys of one of a stack's Redis servers that nothing ever ends, sorted. */
export async function lastingKeysOf(dataDir: string, server: "durable" | "fast"): Promise<readonly string[]> {
	return [...(await ask(join(dataDir, "run", `${server}.sock`), ["EVAL", LASTING, "0"]))].sort();
}

/** One command and its reply, an array of bulk strings (Redis serialization protocol 2). */
function ask(socket: string, command: readonly string[]): Promise<readonly string[]> {
	return new Promise((resolve, reject) => {
		let text = "";
		const connection = createConnection(socket);
		connection.setEncoding("latin1").once("error", reject);
		connection.on("data", (chunk) => {
			text += chunk;
			const values = bulkStrings(text);
			if (values === undefined) return;
			connection.destroy();
			resolve(values);
		});
		connection.write(`*${command.length}\r\n${command.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join("")}`);
	});
}

/** The strings of a whole reply; undefined while some of it is missing. */
function bulkStrings(text: string): readonly string[] | undefined {
	const lines = text.split("\r\n");
	const count = Number(lines[0]?.slice(1));
	return lines.length > 2 * count + 1 ? lines.filter((_, index) => index > 0 && index % 2 === 0).slice(0, count) : undefined;
}
