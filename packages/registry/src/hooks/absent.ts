import { BerthError } from "@berth/contracts";

/** The one sentence for a hook that a function hasn't. */
export function hookNotFound(name: string, hook: string): BerthError {
	return new BerthError(
		"hook_not_found",
		`${name} has no hook ${JSON.stringify(hook)}; GET /v1/functions/${name}/hooks lists those there are`,
	);
}
