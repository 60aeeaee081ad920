import { against, atMost, ms, said, share } from "./figures.mjs";

/** The rows about functions with dependencies. */
export const DEPENDENCIES = [
	{
		what: "first build with 50 MB of dependencies, from a registry on this machine",
		target: "said",
		measure: ({ dependencies }) => said(ms(dependencies.coldMs)),
	},
	{
		what: "another function's first build with the same dependencies",
		target: "said",
		measure: ({ dependencies }) => said(ms(dependencies.cachedMs)),
	},
	{
		what: "redeploy of changed code above 50 MB of dependencies",
		target: "≤ 200 ms",
		measure: ({ dependencies }) => atMost(200, dependencies.largeMs),
	},
	{
		what: "the same against one above 5 MB, in turns",
		target: "≤ 1.2 ×",
		measure: ({ dependencies: { smallMs, largeMs } }) => against(largeMs, "5 MB", smallMs, (ratio) => ratio <= 1.2),
	},
	{
		what: "prewarmed cold start in the worker with a dependency layer of 50 MB, beyond one without, in turns",
		target: "≤ 2 ms",
		measure: ({ dependencies: { withLayerMs, withoutMs } }) => ({
			...atMost(2, withLayerMs - withoutMs),
			ratio: `${ms(withLayerMs)} in all, without ${ms(withoutMs)}`,
		}),
	},
	{
		what: "disk that eight more functions with the same 50 MB take, against the first",
		target: "≤ 0.1 ×",
		measure: ({ dependencies: { oneBytes, moreBytes } }) => share(moreBytes, oneBytes),
	},
	{
		what: "page cache that nine more of them take once each has read all of it, against one copy",
		target: "≤ 0.1 ×",
		measure: ({ dependencies: { readBytes, othersCachedBytes } }) => share(othersCachedBytes, readBytes),
	},
];
