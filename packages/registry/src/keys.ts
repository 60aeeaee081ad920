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
	apiKeys: "{berth}:api-keys",
	changes: "{berth}:changes",
} as const;
