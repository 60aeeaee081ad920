import { against } from "./figures.mjs";

/** The row about functions that invoke one another. */
export const INVOKING = [
	{
		what: "`ctx.invoke` of a warm function, as the one that invokes it sees it, p50, against the same over HTTP, in turns",
		target: "≤ 1.5 ×",
		measure: ({ invoking: { insideMs, httpMs } }) => against(insideMs, "over HTTP", httpMs, (ratio) => ratio <= 1.5),
	},
];
