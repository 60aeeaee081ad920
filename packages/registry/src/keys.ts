import type { Digest } from "@berth/contracts";

/** What the keys of functions begin with; `project/name` follows. */
export const FUNCTION_RECORDS = "{berth}:function:";

/**
 * Keys of the durable Redis. The braces put all of them on one slot of a Redis Cluster, so that a
 * script may change a function, its versions and the list of names together.
 */
export const keys = {
	names: (project: string) => `{berth}:functions:${project}`,
	function: (project: string, name: string) => `${FUNCTION_RECORDS}${project}/${name}`,
	numbers: (project: string, name: string) => `{berth}:numbers:${project}/${name}`,
	/** Outlives the function: a number is never used again. */
	counter: (project: string, name: string) => `{berth}:counter:${project}/${name}`,
	/** What the keys of versions begin with; `project/name:number` follows. */
	versions: "{berth}:version:",
	version: (project: string, name: string, number: number) => `${keys.versions}${project}/${name}:${number}`,
	/** A stream: what a version's build said. The scripts make it of the version's key. */
	buildLog: (project: string, name: string, number: number) => `${keys.version(project, name, number)}:log`,
	/** Channel: `project/name:number` when there is more of that log, with JSON after a space when it is only progress. */
	buildLogs: "{berth}:build-logs",
	/** Hash of a network's name → when it was made. */
	networks: (project: string) => `{berth}:networks:${project}`,
	/** Hash of a secret's name → its value, sealed, and since when it has that. */
	secrets: (project: string) => `{berth}:secrets:${project}`,
	/** Hash: when something was last sealed anew (`at`, ISO 8601), and how many records it was. */
	resealed: "{berth}:resealed",
	/** Channel: the project of which a secret has another value, or is gone. */
	secretChanges: "{berth}:secret-changes",
	/** Hash of a volume's name → how large it is, where, and how far it is. */
	volumes: (project: string) => `{berth}:volumes:${project}`,
	/** What the keys of sets of versions (`project/name:number`) begin with that have a resource and haven't failed; `/secret/NAME`, `/volume/name` or `/network/name` follows. */
	resourceUsers: (project: string) => `{berth}:users:${project}`,
	/** Set of the names of projects whose versions, all of them, are in those sets. */
	countedProjects: "{berth}:users-counted",
	/** Versions (`project/name:number`) that are neither ready nor failed. */
	unfinished: "{berth}:unfinished",
	/** Versions that are made of a source, failed ones left out. */
	sourceUsers: (digest: Digest) => `{berth}:source:${digest}`,
	/** Hash of a key's SHA-256 → what it may do. */
	apiKeys: "{berth}:api-keys",
	/** Hash of the name of a project's API key → its SHA-256. */
	projectKeys: (project: string) => `{berth}:project-keys:${project}`,
	/** Hashes of the names of projects → when they were made; and of those that were removed → when that was. */
	projects: "{berth}:projects",
	removedProjects: "{berth}:removed-projects",
	/** Set of the names of removed projects whose counters may still be there. */
	leftCounters: "{berth}:left-counters",
	/** Hash of the name of a project → its own quotas, JSON; channel: one of them changed. */
	quotas: "{berth}:quotas",
	quotaChanges: "{berth}:quota-changes",
	/** Hash of the digest of a layer → of how many of a project's versions it is, and its bytes; and `bytes`, their sum. */
	heldLayers: (project: string) => `{berth}:held-layers:${project}`,
	/** Hash of a function's name → MiB of the sandboxes that the version has ready which was deployed last. */
	warm: (project: string) => `{berth}:warm:${project}`,
	/** Set of functions (`project/name`) of which some version had any ready. */
	warmFunctions: "{berth}:warm-functions",
	/** Stream: the changes of a project, and how each ended. */
	audit: (project: string) => `{berth}:audit:${project}`,
	/** Channel: there are keys that aren't good any more. */
	revocations: "{berth}:revocations",
	/** Hash of a package registry's host → its scopes, and a sealed login. */
	packageRegistries: (project: string) => `{berth}:package-registries:${project}`,
	/** JSON: what a project's callbacks are signed with, sealed, and the one before. */
	callbackSecret: (project: string) => `{berth}:callback-secret:${project}`,
	/** Hash of a request with an idempotency key (its SHA-256): what tells it, who serves it until when, and its answer. */
	idempotencyKey: (project: string, digest: string) => `{berth}:idempotency:${project}:${digest}`,
	idempotencyKept: (project: string) => `{berth}:idempotency-kept:${project}`,
	/** A push or pull of an image, as it was recorded last; and the ids of those that a node has begun and not ended. */
	transfer: (id: string) => `{berth}:transfer:${id}`,
	transfersOf: (node: string) => `{berth}:transfers:${node}`,
	/** Hash of the names of a function's hooks → their ids. */
	hooks: (project: string, name: string) => `{berth}:hooks:${project}/${name}`,
	/** Hash of a hook: what it is, its sealed secrets, and the newest revision of its log. The scripts make the keys of its log of it. */
	hook: (id: string) => `{berth}:hook:${id}`,
	/** Hash of event → what is on record of it, and `event:size` → its bytes and the key of its body; and their bytes. */
	hookLog: (id: string) => `${keys.hook(id)}:log`,
	/** Sorted sets of events by revision: those that ran, and those that didn't. */
	hookRuns: (id: string) => `${keys.hook(id)}:runs`,
	hookIdle: (id: string) => `${keys.hook(id)}:idle`,
	/** Hash of a delivery that was let in: its event, and the answer once there is one. */
	hookClaim: (id: string, digest: string) => `${keys.hook(id)}:claim:${digest}`,
	/** How many deliveries there were in the period that goes on. */
	hookRate: (id: string) => `${keys.hook(id)}:rate`,
	/** Channel: the id of a hook whose log has something new. */
	hookEvents: "{berth}:hook-events",
	/** Hash of the names of a function's schedules → their ids. */
	schedules: (project: string, name: string) => `{berth}:schedules:${project}/${name}`,
	/** Hash of a schedule: what it is, when it is due next, the invocation of its last firing, and who works at its claims. */
	schedule: (id: string) => `{berth}:schedule:${id}`,
	/** Lists: firings that aren't invocations yet, and what became of the last ones. The scripts make them of the schedule's key. */
	scheduleClaims: (id: string) => `${keys.schedule(id)}:claims`,
	scheduleRuns: (id: string) => `${keys.schedule(id)}:runs`,
	/** Sorted sets of schedules: by when they fire next, and by when somebody may work at their claims. */
	dueSchedules: "{berth}:schedules-due",
	openSchedules: "{berth}:schedules-open",
	/** SHA-256 of the key that the operator set. */
	adminKey: "{berth}:admin-key",
	/** What tells this stack from others. */
	stack: "{berth}:stack",
	/** `whole` or `lost`: whether the records are all that the artifact store has images of. */
	store: "{berth}:store",
	/** There while versions come back from the artifact store, and no alias leads to them yet. */
	recovering: "{berth}:recovering",
	/** Hash of runtime → digest of the base that new images of it get. */
	bases: "{berth}:bases",
	changes: "{berth}:changes",
} as const;

/** What the keys of a function's versions begin with. */
export function versionPrefix(project: string, name: string): string {
	return keys.version(project, name, 0).slice(0, -1);
}
