import { constants } from "node:fs";
import { mkdir, open, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Settings } from "@berth/config";
import { CommandFailure, EXIT } from "../exit-codes.js";
import { codeOf, isMissing } from "../system-errors.js";

/** A directory of the stack: who owns it, who may do what. The group is the owner's, or as said. */
interface Place {
	readonly path: string;
	readonly owner: "root" | "service";
	readonly group?: "service";
	readonly mode: number;
}

const OTHERS_EXECUTE = 0o001;

function placesOf({ dataDir, paths }: Settings): readonly Place[] {
	return [
		{ path: dataDir, owner: "root", mode: 0o711 },
		// The service user makes its sockets here; the sticky bit keeps what is root's from it.
		{ path: paths.run, owner: "root", group: "service", mode: 0o1771 },
		{ path: paths.agentSockets, owner: "service", mode: 0o711 },
		{ path: join(dataDir, "redis"), owner: "root", mode: 0o711 },
		{ path: paths.durableRedis, owner: "service", mode: 0o700 },
		{ path: paths.fastRedis, owner: "service", mode: 0o700 },
		{ path: paths.artifacts, owner: "service", mode: 0o750 },
		{ path: paths.launcher, owner: "root", mode: 0o711 },
		{ path: paths.logs, owner: "root", mode: 0o750 },
	];
}

/** Makes the data directory's tree, or puts its owners and modes right. @throws CommandFailure naming what is in the way */
export async function prepareDirectories(settings: Settings): Promise<void> {
	await mkdir(dirname(settings.dataDir), { recursive: true, mode: 0o755 });
	const closed = await closedParent(settings.dataDir);
	if (closed !== undefined) {
		throw new CommandFailure(
			EXIT.failed,
			`${closed} isn't searchable for others, and sandboxes run as others: chmod o+x ${closed}, or choose another --data`,
		);
	}
	for (const place of placesOf(settings)) await put(place, settings.serviceUid);
}

/** The first directory above a path that others can't search; undefined when they all can be. */
export async function closedParent(path: string): Promise<string | undefined> {
	const parents: string[] = [];
	for (let each = dirname(path); parents.at(-1) !== each; each = dirname(each)) parents.push(each);
	for (const parent of parents.reverse()) {
		try {
			if (((await stat(parent)).mode & OTHERS_EXECUTE) === 0) return parent;
		} catch (error) {
			if (isMissing(error)) return undefined;
			throw error;
		}
	}
	return undefined;
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
