import type { Settings } from "@berth/config";
import { tryRegistry } from "@berth/distribution";
import { messageOf } from "../system-errors.js";
import { type Check, ok, warning } from "./check.js";

/** Whether each registry of BERTH_REGISTRIES is one, and takes the login that stands there. Functions run without. */
export function checkRegistries({ registries }: Pick<Settings, "registries">): Promise<readonly Check[]> {
	return Promise.all(
		registries.map(async (registry) => {
			const name = `registry ${registry.host}`;
			try {
				await tryRegistry(registry);
				return ok(
					name,
					`${registry.host} answers${registry.login === undefined ? "" : `, and takes the login of ${registry.login.username}`}.`,
				);
			} catch (error) {
				return warning(name, messageOf(error), "Mend BERTH_REGISTRIES, or the registry: images can't be pushed to it or pulled from it.");
			}
		}),
	);
}
