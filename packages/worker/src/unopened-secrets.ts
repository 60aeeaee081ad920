import { resealAll, type Vault } from "@berth/registry";
import type { Logger } from "@berth/telemetry";

/** Says which records no key of this node opens: with one key there is nothing to seal anew, and what is sealed with another is named. */
export async function logUnopenedSecrets(durableUrl: string, vault: Vault, log: Logger): Promise<void> {
	try {
		const { lost } = await resealAll(durableUrl, vault, log);
		if (lost.length > 0)
			log.error(
				{ lost },
				`sealed records that can't be opened with the key of this node: ${lost.length}. Whoever needs them gets platform_error. Put back the key that they were sealed with (BERTH_SECRETS_KEY, or secrets.key) and start again, or set them anew`,
			);
	} catch (err) {
		log.error({ err }, "which sealed records this node's key opens couldn't be looked at; the next start tries again");
	}
}
