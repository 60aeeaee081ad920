import type { Protection } from "../matrix/attack.js";
import type { Kept, Weakening } from "./weakening.js";
import { builds } from "./weakenings/builds.js";
import { container } from "./weakenings/container.js";
import { gateway } from "./weakenings/gateway.js";
import { lifecycle } from "./weakenings/lifecycle.js";
import { limits } from "./weakenings/limits.js";
import { secrets } from "./weakenings/secrets.js";
import { webhooks } from "./weakenings/webhooks.js";

/** How each protection is taken away, or why it isn't. */
export const WEAKENINGS: Readonly<Record<Protection, Weakening | Kept>> = {
	...container,
	...limits,
	...lifecycle,
	...builds,
	...secrets,
	...gateway,
	...webhooks,
};
