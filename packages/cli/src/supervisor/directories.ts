import { constants } from "node:fs";
import { chmod, mkdir, open } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Settings } from "@berth/config";
import { CommandFailure, EXIT } from "../exit-codes.js";
import { codeOf, messageOf } from "../system-errors.js";

/** A directory of the stack: who owns it, who may do what. The group is the owner's, or as said. */
interface Place {
	readonly path: string;
	readonly owner: "root" | "service";
	readonly group?: "service";
	readonly mode: number;
}

const PARENT_MODE = 0o755;

function placesOf({ dataDir, engine, paths }: Settings): readonly Place[] {
	return [
		{ path: dataDir, owner: "root", mode: 0o711 },
		// The service user makes its sockets here; the sticky bit keeps what is root's from it.
		{ path: paths.run, owner: "root", group: "service", mode: 0o1771 },
		// Sandboxes have their own by a mount, so nobody else lists these. The sockets themselves let every id connect: with the engine `oci` nobody
		// else reaches one either. A rootless Docker Engine looks its binds up as an ordinary user: there whoever knows a name does, 80 random bits.
		{ path: paths.agentSockets, owner: "service", mode: engine === "docker" ? 0o711 : 0o700 },
		{ path: join(dataDir, "redis"), owner: "root", mode: 0o711 },
		{ path: paths.durableRedis, owner: "service", mode: 0o700 },
		{ path: paths.fastRedis, owner: "service", mode: 0o700 },
		{ path: paths.artifacts, owner: "service", mode: 0o750 },
		{ path: paths.launcher, owner: "root", mode: 0o711 },
		{ path: paths.logs, owner: "root", mode: 0o750 },
	];
}

/** Makes the data directory's tree, or puts its owners and modes right. @throws CommandFailure naming what can't be made */
export async function prepareDirectories(settings: Settings): Promise<void> {
	try {
		await makeParents(dirname(settings.dataDir));
		for (const place of placesOf(settings)) await put(place, settings.serviceUid);
	} catch (error) {
		const code = codeOf(error);
		if (code === undefined) throw error;
		const reason = code === "EROFS" ? "its file system is read-only" : messageOf(error);
		throw new CommandFailure(EXIT.failed, `${settings.dataDir} can't be made a data directory (${reason}): --data names another`, {
			cause: error,
		});
	}
}

/** Sandboxes run as others, who search every directory above: whatever this process's umask is. */
async function makeParents(parent: string): Promise<void> {
	const first = await mkdir(parent, { recursive: true });
	if (first === undefined) return;
	for (let each = parent; each.length >= first.length; each = dirname(each)) await chmod(each, PARENT_MODE);
}

/** Through one descriptor that follows no link: what is checked is what is changed. */
async function put(place: Place, serviceUid: number): Promise<void> {
	try {
		await mkdir(place.path, { mode: 0o700 });
	} catch (error) {
		if (codeOf(error) !== "EEXIST") throw error;
	}
	try {
		await using directory = await open(place.path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
		const owner = place.owner === "service" ? serviceUid : 0;
		await directory.chown(owner, place.group === "service" ? serviceUid : owner);
		await directory.chmod(place.mode);
	} catch (error) {
		if (codeOf(error) !== "ENOTDIR" && codeOf(error) !== "ELOOP") throw error;
		throw new CommandFailure(EXIT.failed, `${place.path} is no directory: move it away`);
	}
}
