import type { Digest } from "@berth/contracts";

/**
 * Keys of the durable Redis. The braces put all of them on one slot of a Redis Cluster, so that a
 * script may change a function, its versions and the list of names together.
 */
export const keys = {
	names: (project: string) => `{berth}:functions:${project}`,
	function: (project: string, name: string) => `{berth}:function:${project}/${name}`,
	numbers: (project: string, name: string) => `{berth}:numbers:${project}/${name}`,
	/** Outlives the function: a number is never used again. */
	counter: (project: string, name: string) => `{berth}:counter:${project}/${name}`,
	version: (project: string, name: string, number: number) => `{berth}:version:${project}/${name}:${number}`,
	/** A stream: what a version's build said. The scripts make it of the version's key. */
	buildLog: (project: string, name: string, number: number) => `${keys.version(project, name, number)}:log`,
	/** Channel: `project/name:number` when there is more of that log, with JSON after a space when it is only progress. */
	buildLogs: "{berth}:build-logs",
	/** Hash of a network's name → when it was made. */
	networks: (project: string) => `{berth}:networks:${project}`,
	/** Hash of a volume's name → how large it is, where, and how far it is. */
	volumes: (project: string) => `{berth}:volumes:${project}`,
	/** Versions (`project/name:number`) that are neither ready nor failed. */
	unfinished: "{berth}:unfinished",
	/** Versions that are made of a source, failed ones left out. */
	sourceUsers: (digest: Digest) => `{berth}:source:${digest}`,
	/** Hash of a key's SHA-256 → what it may do. */
	apiKeys: "{berth}:api-keys",
	/** Hash of a package registry's host → its scopes, and a sealed login. */
	packageRegistries: (project: string) => `{berth}:package-registries:${project}`,
	/** SHA-256 of the key that the operator set. */
	adminKey: "{berth}:admin-key",
	/** `whole` or `lost`: whether the records are all that the artifact store has images of. */
	store: "{berth}:store",
	/** Hash of runtime → digest of the base that new images of it get. */
	bases: "{berth}:bases",
	changes: "{berth}:changes",
} as const;

/** What the keys of the lists of a project's versions begin with, and those of the versions; the function's name follows. */
export function versionPrefixes(project: string): [string, string] {
	return [keys.numbers(project, ""), `{berth}:version:${project}/`];
}

/** What the keys of a function's versions begin with. */
export function versionPrefix(project: string, name: string): string {
	return keys.version(project, name, 0).slice(0, -1);
}
