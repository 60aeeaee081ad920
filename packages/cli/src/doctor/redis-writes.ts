import { type Check, failed } from "./check.js";
import { askRedis, RedisError } from "./redis-connection.js";

/** What a server is there for. */
export type RedisRole = "durable" | "fast";

const WRITES = ": writes";
/** What gateways write to see whether a server takes writes. */
const TRIAL = ["SET", "berth:trial", "", "PX", "1000"] as const;
const REFUSED: Readonly<Record<RedisRole, string>> = {
	durable: "Deploys, background invocations and new keys are refused",
	fast: "Invocations are refused",
};
const MENDS: Readonly<Record<string, string>> = {
	NOREPLICAS: "Let as many replicas follow as its min-replicas-to-write says (`INFO replication` lists them), or lower that.",
	MISCONF: "Read its log, and make room on its disk: it can't save.",
	OOM: "Raise its maxmemory, or let what is queued be done.",
};

/** That a server takes no writes may pass by itself (a failover, a full server that is being emptied), as what it is told by its settings doesn't. */
export const isOfWrites = ({ name }: Pick<Check, "name">): boolean => name.endsWith(WRITES);

/** Whether a server takes writes: it answers all that is read even where it doesn't. Nothing is said of one that does. */
export async function checkWrites(role: RedisRole, url: string): Promise<readonly Check[]> {
	const [replication, written] = await askRedis(url, [["INFO", "replication"], TRIAL]);
	const info = replication instanceof RedisError ? "" : String(replication);
	const name = `${role} Redis${WRITES}`;
	if (field(info, "role") === "slave") {
		const master = `${field(info, "master_host")}:${field(info, "master_port")}`;
		const words = written instanceof RedisError ? "writes are refused" : "what is written here is lost when it takes its master's data";
		const mend = `Name ${master} in BERTH_${role.toUpperCase()}_REDIS_URL, or Sentinels that lead to the master; \`REPLICAOF NO ONE\` makes this one a master.`;
		return [failed(name, `It is a replica of ${master}, and ${words}. ${REFUSED[role]}.`, mend)];
	}
	if (!(written instanceof RedisError)) return [];
	const mend = MENDS[written.message.split(" ", 1)[0] ?? ""] ?? "Let its user do everything on keys.";
	return [failed(name, `It takes no writes: ${written.message.replace(/\.$/, "")}. ${REFUSED[role]}.`, mend)];
}

function field(info: string, name: string): string | undefined {
	return new RegExp(`^${name}:(.*?)\\r?$`, "m").exec(info)?.[1];
}
