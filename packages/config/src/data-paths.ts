import { join } from "node:path";

/** Where things are below the data directory. */
export interface DataPaths {
	/** Sockets and the supervisor's state; root's, 1771 with the service user's group: who owns a file there is who may replace it. */
	readonly run: string;
	readonly durableSocket: string;
	readonly fastSocket: string;
	readonly launcherSocket: string;
	/** Where a gateway takes what this node's worker asks in the name of functions; 0600 service user. */
	readonly gatewaySocket: string;
	/** Where each gateway takes answers in pieces and gives requests' bodies, `<pid>.sock`; sockets 0600 service user. */
	readonly streamSockets: string;
	/** One socket per sandbox, for its agent. */
	readonly agentSockets: string;
	readonly supervisorFile: string;
	/** Where a supervisor is asked to start processes again; 0600 root. */
	readonly supervisorSocket: string;
	/** Locked by the supervisor that holds this data directory, which it names; 0600 root. */
	readonly supervisorLock: string;
	/** The operator's API key, for root's command line; 0600 root. */
	readonly adminKey: string;
	readonly durableRedis: string;
	readonly fastRedis: string;
	/** The key that secrets are sealed with, when the operator names none; 0600 service user. */
	readonly secretsKey: string;
	/** Owned by the service user: OCI image layout, sources, payloads. */
	readonly artifacts: string;
	/** Owned by root: unpacked layers, and a directory per sandbox. */
	readonly launcher: string;
	/** The base of each runtime as prepared at start (JSON). */
	readonly bases: string;
	/** This machine's id as a node; 0644 root. */
	readonly nodeId: string;
	/** The incarnation of the worker that joined last; service user. */
	readonly incarnation: string;
	/** What each process of the stack prints. */
	readonly logs: string;
}

export function pathsOf(dataDir: string): DataPaths {
	const run = join(dataDir, "run");
	return Object.freeze({
		run,
		durableSocket: join(run, "durable.sock"),
		fastSocket: join(run, "fast.sock"),
		launcherSocket: join(run, "launcher.sock"),
		gatewaySocket: join(run, "gateway.sock"),
		streamSockets: join(run, "s"),
		agentSockets: join(run, "a"),
		supervisorSocket: join(run, "supervisor.sock"),
		supervisorFile: join(run, "supervisor.json"),
		supervisorLock: join(run, "supervisor.lock"),
		adminKey: join(dataDir, "admin.key"),
		secretsKey: join(dataDir, "secrets.key"),
		durableRedis: join(dataDir, "redis", "durable"),
		fastRedis: join(dataDir, "redis", "fast"),
		artifacts: join(dataDir, "artifacts"),
		launcher: join(dataDir, "launcher"),
		bases: join(dataDir, "bases.json"),
		nodeId: join(dataDir, "node.id"),
		incarnation: join(run, "worker.incarnation"),
		logs: join(dataDir, "logs"),
	});
}
