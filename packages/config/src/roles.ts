import * as z from "zod";

/** What a machine is of a stack: what takes requests, and what runs functions. */
export const ROLES = ["gateway", "worker"] as const;
export type Role = (typeof ROLES)[number];

const RULE = "gateway, worker, or both with a comma between";

/** `gateway,worker` */
export const rolesSetting = z.string().transform((text, context): readonly Role[] => {
	const said = text.split(",").map((each) => each.trim());
	const roles = ROLES.filter((role) => said.includes(role));
	if (said.length === roles.length) return Object.freeze(roles);
	context.addIssue(RULE);
	return z.NEVER;
});
