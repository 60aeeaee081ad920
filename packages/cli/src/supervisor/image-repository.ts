import type { Settings } from "@berth/config";
import { BerthError } from "@berth/contracts";
import { Repository } from "@berth/distribution";
import { CommandFailure, EXIT } from "../exit-codes.js";

/** How long it may say nothing before somebody who waits is told, milliseconds. */
const QUIET_MS = 3000;

/**
 * Tries the login for the image repository, if there is one. A registry that is away keeps no stack from
 * starting: what isn't pushed yet is pushed when it answers. @param waits told what it waits for @throws CommandFailure when it answers and refuses
 */
export async function tryImageRepository(
	{ imageRepository, registries }: Settings,
	say: (text: string) => void,
	waits: (text: string) => void,
): Promise<void> {
	const access = registries.find(({ host }) => host === imageRepository?.host);
	if (imageRepository === undefined || access === undefined) return;
	const { host, name } = imageRepository;
	const quiet = setTimeout(() => waits(`waiting for ${host} (BERTH_IMAGE_REPOSITORY), which says nothing yet`), QUIET_MS);
	try {
		await new Repository(access, name, "push").tryPush();
	} catch (error) {
		if (!(error instanceof BerthError)) throw error;
		if (error.extra["refused"] === true)
			throw new CommandFailure(EXIT.failed, `images can't be pushed to BERTH_IMAGE_REPOSITORY, ${host}/${name}: ${error.message}`);
		say(`images are pushed to ${host}/${name} once it answers: ${error.message}`);
	} finally {
		clearTimeout(quiet);
	}
}
